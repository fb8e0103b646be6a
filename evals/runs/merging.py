"""Joins what several writers recorded of one run: the shards of a run folder, or folders of their own.

Everything is appended to the journals of the whole run before anything is removed, and what is there already
is left out, so a merge that was stopped is done again. Contradictions are refused before anything is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import RunMismatch, UsageError
from evals.records import digest, file_sha256
from evals.runs import journal
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
from evals.runs.lock import held
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
        folders = [target, *(RunFolder(path) for path in others)]
        _refuse_strangers(target, folders[1:])
        segments = {
            kind: [path for folder in folders for path in folder.segments.all(kind)] for kind in KINDS
        }
        _refuse_contradictions(folders, segments)
        left = tuple(unfinished(_infos(folders)))
        infos = [folder.info.model_copy(update={"id": target.info.id}) for folder in folders[1:]]
        info = joined(target.info, infos)
        for folder in folders[1:]:
            _take_files(folder, target)
        write_info(run, info)  # first: lines of prompts that run.json does not have would be an error
        added = sum(_append(run / kind / f"{MAIN}.jsonl", paths, kind) for kind, paths in segments.items())
        _remove_shards(run)
        whole = RunFolder(run)
        made = whole.samples()
    return Merged(added, left if any(at not in made for at in whole.sample_ids()) else ())


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


def _clashes(paths: Iterable[Path], facts: Any) -> list[str]:
    """Facts that two segments give different values."""
    seen: dict[Any, tuple[Any, str]] = {}
    found = []
    for path in paths:
        for number, record in journal.read(path):
            for key, value in facts(record):
                before, where = seen.setdefault(key, (value, f"{path}:{number}"))
                if before != value and not where.startswith(f"{path}:"):
                    found.append(f"{where} and {path}:{number} differ in {key[0]}, seed {key[1]}")
                seen[key] = (value, f"{path}:{number}")
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


def _append(place: Path, paths: Sequence[Path], kind: str) -> int:
    """Append the records of other segments that the whole run's lacks; gives how many."""
    others = [path for path in paths if path != place]
    if not others:
        return 0
    best = _best(paths) if kind == "samples" else {}
    with journal.Journal(place) as whole:
        there = {digest(record) for _, record in journal.read(place)}
        new = (r for path in others for _, r in journal.read(path) if digest(r) not in there)
        count = whole.extend(new)
        latest = {(r["prompt_id"], r["seed"]): digest(r) for _, r in journal.read(place)} if best else {}
        lost = {name for at, name in best.items() if latest[at] != name}
        whole.extend(r for path in paths for _, r in list(journal.read(path)) if digest(r) in lost)
    return count


def _best(paths: Iterable[Path]) -> dict[tuple[str, int], str]:
    """The record that holds of every sample, by its digest: in a segment the last one, of several segments
    the one that ranks highest."""
    best: dict[tuple[str, int], tuple[tuple[bool, int], str]] = {}
    for path in paths:
        for at, record in {(r["prompt_id"], r["seed"]): r for _, r in journal.read(path)}.items():
            rank = record.get("status") == "ok", int(record.get("attempts", 1))
            if at not in best or rank > best[at][0]:
                best[at] = rank, digest(record)
    return {at: name for at, (_, name) in best.items()}


def _take_files(other: RunFolder, target: RunFolder) -> None:
    """Bring prompts, features and videos of another folder."""
    for name in other.info.prompt_sets:
        data = (other.path / "prompts" / f"{name}.json").read_bytes()
        journal.write_atomically(target.path / "prompts" / f"{name}.json", data)
    for shard in sorted(other.features.glob("*.safetensors")):
        _bring(shard, target.features / f"{other.info.id}-{shard.name}")
    for sample in other.samples().values():
        if sample.status == "ok" and sample.video and not Path(sample.video).is_absolute():
            place = target.path / sample.video
            if not place.exists() or file_sha256(place) != sample.sha256:
                _bring(other.path / sample.video, place)


def _bring(source: Path, place: Path) -> None:
    """A second name for a file, or a copy of it; it is whole when it is there."""
    if place.exists() and place.stat().st_size == source.stat().st_size:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(place)
    journal.settle(place, place.parent)


def _remove_shards(run: Path) -> None:
    """Remove the segments and records of shards, which the whole run's hold now."""
    for writer in writers_of(run):
        for path in (*(run / kind / f"{writer}.jsonl" for kind in KINDS), run / f".lock-{writer}"):
            path.unlink(missing_ok=True)
        info_file(run, writer).unlink(missing_ok=True)
    with suppress(OSError):
        info_file(run, "any").parent.rmdir()
