"""Joins what several writers recorded of one run: the shards of a run folder, or folders of their own.

Everything is appended to the journals of the whole run before anything is removed, and what is there already
is left out, so a merge that was stopped is done again. Contradictions are refused before anything is written.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import RunError, RunMismatch, UsageError
from evals.records import Sample, digest, file_sha256, is_regular
from evals.runs import journal
from evals.runs.current import SampleId
from evals.runs.folder import RunFolder
from evals.runs.info import (
    RunInfo,
    contradictions,
    info_file,
    joined,
    unfinished,
    write_info,
    writers_of,
)
from evals.runs.lock import forget, held
from evals.runs.reading import read_samples
from evals.runs.segments import KINDS, MAIN

SHOWN = 3  # contradictions that a message names
Record = dict[str, Any]


@dataclass(frozen=True)
class Merged:
    """What a merge did: how many `records` the whole run did not have, and which shards (`3/8`) are
    `unfinished`."""

    records: int
    unfinished: tuple[str, ...]


def merge(run: Path, others: Sequence[Path] = ()) -> Merged:
    """Bring the shards of `run`, and other folders of the same run, into the journals of the whole run.

    Raises `RunMismatch` for folders of another generator or with other settings, and where two writers
    contradict each other.
    """
    places = [path.resolve() for path in (run, *others)]
    if len(set(places)) < len(places):
        raise UsageError("merge: one folder is given twice")
    with ExitStack() as stack:
        for path in (run, *others):
            stack.enter_context(held(path))
        target = RunFolder(run)
        rest = [RunFolder(path) for path in others]
        folders = [target, *rest]
        _refuse_strangers(target, rest)
        segments = {
            kind: [path for folder in folders for path in folder.segments.all(kind)] for kind in KINDS
        }
        _refuse_contradictions(folders, segments)
        left = tuple(unfinished(_infos(folders)))
        infos = [folder.info.model_copy(update={"id": target.info.id}) for folder in rest]
        info = joined(target.info, infos)
        for folder in rest:
            _take_prompts(folder, target)
        write_info(run, info)  # before the journals: a line whose prompt run.json does not have is an error
        whole = RunFolder(run)
        holding = read_samples(segments["samples"], whole.prompts, info.seeds)
        for folder in rest:
            _take_files(folder, target, holding)
        held_here = read_samples([whole.segments.own("samples")], whole.prompts, info.seeds)
        settled = {at for at, sample in held_here.items() if holding.get(at) == sample}
        added = sum(
            _append(run / kind / f"{MAIN}.jsonl", paths, settled if kind == "samples" else set())
            for kind, paths in segments.items()
        )
        _settle(whole, holding)
        _remove_shards(run)
        whole = RunFolder(run)
        whole.keep_index()
        if not _is_complete(whole):
            return Merged(added, left)
        whole.update(status="scored" if whole.info.metrics else "generated")
        return Merged(added, ())


def _is_complete(run: RunFolder) -> bool:
    """Whether every sample that was asked for is there, with all its scores."""
    samples = run.samples()
    if any(at not in samples for at in run.sample_ids()):
        return False
    ok = samples.ok()
    for shape, metrics in run.info.metrics.items():
        values, names = run.values(shape, samples), {n for n, info in metrics.items() if info.kind == "video"}
        if any(values.one(at, name) is None for at in ok for name in names):
            return False
    return True


def _refuse_strangers(target: RunFolder, others: Iterable[RunFolder]) -> None:
    for other in others:
        if (other.info.generator, other.info.settings) != (target.info.generator, target.info.settings):
            raise RunMismatch(
                f"{other.path}: is a run of {other.info.label} with other settings or other code than"
                f" {target.path}; only parts of one run can be merged"
            )


def _refuse_contradictions(folders: Sequence[RunFolder], segments: Mapping[str, list[Path]]) -> None:
    found = contradictions(_infos(folders))
    found += _clashes(segments["samples"], _made)
    found += _clashes(segments["scores"], _scored)
    if found:
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise RunMismatch(
            f"{folders[0].path}: cannot be merged: {'; '.join(found[:SHOWN])}{more}. Remove the part that is"
            " wrong, or score it again with the same version"
        )


def _infos(folders: Sequence[RunFolder]) -> Iterator[tuple[str, RunInfo]]:
    for folder in folders:
        yield from folder.written()


def _clashes(paths: Sequence[Path], facts: Any) -> list[str]:
    """Facts that two segments give different values. Only samples that stand in several are looked at."""
    where: dict[tuple[str, int], int] = {}
    shared = set()
    for number, path in enumerate(paths if len(paths) > 1 else ()):
        for _, record in journal.read(path):
            at = record["prompt_id"], record["seed"]
            if where.setdefault(at, number) != number:
                shared.add(at)
    seen: dict[Any, tuple[Any, Path, int]] = {}
    found = []
    for path in paths if shared else ():
        for line, record in journal.read(path):
            if (record["prompt_id"], record["seed"]) not in shared:
                continue
            for key, value in facts(record):
                before, other, at_line = seen.setdefault(key, (value, path, line))
                if before != value and other != path:
                    found.append(f"{other}:{at_line} and {path}:{line} differ in {key[0]}, seed {key[1]}")
                seen[key] = value, path, line
    return found


def _made(record: Record) -> Iterator[tuple[Any, Any]]:
    """A video that was made: its bytes."""
    if record.get("status") == "ok":
        about = record["prompt_id"], record["seed"], record["key"], record.get("attempts", 1)
        yield about, record["sha256"]


def _scored(record: Record) -> Iterator[tuple[Any, Any]]:
    """Scores: their values."""
    about = record["prompt_id"], record["seed"], record["sha256"], record["normalization"]
    for name, score in record["scores"].items():
        if score["status"] == "ok":
            of = score.get("metric_digest"), score.get("fields_digest")
            yield (*about, name, *of), score["value"]


def _append(place: Path, paths: Sequence[Path], settled: set[SampleId]) -> int:
    """Append the records of other segments that the whole run's lacks; gives how many. Of samples that are
    `settled`, whose current record is the whole run's last one, other attempts are left out: a line behind it
    would take its place."""
    others = [path for path in paths if path != place]
    if not others:
        return 0
    there = {digest(record) for _, record in journal.read(place)}

    def lacking() -> Iterator[Record]:
        for path in others:
            for _, record in journal.read(path):
                name = digest(record)
                at = record.get("prompt_id"), record.get("seed")
                if name not in there and at not in settled:
                    there.add(name)
                    yield record

    with journal.Journal(place) as whole:
        return whole.extend(lacking())


def _settle(run: RunFolder, holding: Mapping[SampleId, Sample]) -> None:
    """Of a sample the last record in a journal holds: see that it is the one that held before."""
    place = run.segments.own("samples")
    now = read_samples([place], run.prompts, run.info.seeds)
    lost = [sample for at, sample in holding.items() if now.get(at) != sample]
    if lost:
        with journal.Journal(place) as whole:
            whole.extend(sample.to_json() for sample in lost)


def _take_prompts(other: RunFolder, target: RunFolder) -> None:
    """Bring another folder's prompt sets."""
    assert other.prompts is not None  # read, and so known to be what their names say
    for name in other.info.prompt_sets:
        if not re.fullmatch("[0-9a-f]{32}", name):
            raise RunError(f"{other.path}: names a prompt set {name!r:.80}, which is no digest")
        data = (other.path / "prompts" / f"{name}.json").read_bytes()
        journal.write_atomically(target.path / "prompts" / f"{name}.json", data)


def _take_files(other: RunFolder, target: RunFolder, holding: Mapping[SampleId, Sample]) -> None:
    """Bring another folder's features, and the videos of the samples that hold. Raises `RunError` for a video
    that is gone, another one now, or would lie outside of the run."""
    for shard in sorted(other.features.glob("*.safetensors")):
        place = target.features / f"{other.info.id}-{shard.name}"
        if is_regular(shard) and not place.exists():  # immutable: what is there is whole
            _bring(shard, place, target.path)
    for at, sample in other.samples().items():
        if sample.status != "ok" or holding.get(at) != sample or not sample.video:
            continue
        if Path(sample.video).is_absolute():
            continue  # of a folder of clips: it stays where it is
        source, place = other.video_path(sample), target.path / sample.video
        if is_regular(place) and file_sha256(place) == sample.sha256:
            continue
        if not place.resolve().is_relative_to(target.videos.resolve()):
            raise RunError(f"{other.path}: the video {sample.video!r:.80} would lie outside of {target.path}")
        if not is_regular(source) or file_sha256(source) != sample.sha256:
            raise RunError(
                f"{source}: is gone, or not the video that was recorded; make it again there with the same"
                " command, then merge"
            )
        _bring(source, place, target.path)


def _bring(source: Path, place: Path, root: Path) -> None:
    """Copy a file; it is whole when it is there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.partial")
        shutil.copyfile(source, partial)
        partial.replace(place)
    except OSError as error:
        raise RunError(f"{source}: cannot be copied to {place}: {error.strerror}") from None
    journal.settle(place, root)


def _remove_shards(run: Path) -> None:
    """Remove the segments and records of shards, which the whole run's hold now."""
    for writer in writers_of(run):
        for kind in KINDS:
            (run / kind / f"{writer}.jsonl").unlink(missing_ok=True)
        forget(run, writer)
        info_file(run, writer).unlink(missing_ok=True)
    with suppress(OSError):
        info_file(run, "any").parent.rmdir()
