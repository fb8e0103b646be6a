"""The index of a large run: reading through it equals reading journals from their beginning."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from evals.errors import OutsideRun, Reason, RunError
from evals.records import MetricInfo, Sample, Score
from evals.runs import index
from evals.runs.current import Samples, Values
from evals.runs.folder import RunFolder, _digests
from evals.runs.journal import Journal
from evals.runs.keys import fields_digest, metric_digest
from evals.runs.segments import Shard
from tests.conftest import Cli, call
from tests.indexing import parsed, plainly, told

FAST = "temporal_flicker,sharpness"
RUN = ("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 2, "--seeds", 2,
       "--size", "64x48", "--frames", 8, "--workers", 1)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is indexed as if it were a large one."""
    place = tmp_path_factory.mktemp("indexed") / "a"
    assert call(*RUN, "--metrics", FAST, "--out", place.parent, "--name", "a").code == 0
    with pytest.MonkeyPatch.context() as patch, RunFolder(place).writing() as run:
        patch.setattr(index, "EVERY", 1)
        run.keep_index()
    files = sorted(p.name for p in (place / index.FOLDER).iterdir())
    assert files == ["samples.json", "samples.parquet", "scores-native.json", "scores-native.parquet"]
    return place


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is indexed again as soon as there is more."""
    monkeypatch.setattr(index, "EVERY", 1)
    return Path(shutil.copytree(made, tmp_path / "runs" / "a"))


def again(run: Path, **changes: Any) -> Sample:
    """The first sample, recorded once more with changes."""
    folder = RunFolder(run)
    sample = next(iter(folder.samples().values())).model_copy(update=changes)
    with Journal(folder.segments.own("samples")) as samples:
        samples.append(sample.to_json())
    return sample


def test_nothing_is_read_twice(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(run) == plainly(run) and len(told(run)["samples"]) == 4
    assert parsed(run, monkeypatch) == 0
    again(run, wall_seconds=17.0)
    assert parsed(run, monkeypatch) == 1
    assert told(run) == plainly(run)
    assert next(iter(RunFolder(run).samples().values())).wall_seconds == 17.0


def test_what_is_not_asked_for_is_not_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of samples and columns of metrics are read when one is asked for."""
    asked: list[object] = []
    column, group = index._File.column, index._File.group

    def columns(self: index._File, name: str) -> Any:
        asked.append(name)
        return column(self, name)

    def groups(self: index._File, number: int) -> list[bytes]:
        asked.append(number)
        return group(self, number)

    monkeypatch.setattr(index._File, "column", columns)
    monkeypatch.setattr(index._File, "group", groups)
    monkeypatch.setattr(index, "GROUP", 3)
    with RunFolder(run).writing() as folder:
        folder._index.write_samples(folder.samples())
    asked.clear()
    samples = folder.samples()
    first, *_, last = samples
    assert samples.status(first) == "ok" and 0 not in asked
    values = folder.values("native", samples)
    assert values.one(first, "sharpness") is not None
    assert "value:sharpness" in asked and "value:temporal_flicker" not in asked
    assert samples[first].status == "ok" and 0 in asked and 1 not in asked
    assert samples[last].status == "ok" and 1 in asked


def test_little_that_was_added_is_no_reason_to_write(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = run / index.FOLDER / "samples.json"
    before = note.read_bytes()
    for every, written in ((1, False), (1 << 20, False), (1, True)):
        if written:
            for seconds in range(4):  # more than a tenth
                again(run, wall_seconds=float(seconds))
        monkeypatch.setattr(index, "EVERY", every)
        with RunFolder(run).writing() as folder:
            folder.keep_index()
        assert (note.read_bytes() != before) is written
    assert parsed(run, monkeypatch) == 0 and told(run) == plainly(run)


@pytest.mark.parametrize("change", ["failed", "another", "prompts", "metrics", "retried", "shard"])
def test_what_comes_after_an_index_holds(run: Path, cli: Cli, change: str) -> None:
    folder = RunFolder(run)
    if change == "failed":
        again(
            run,
            status="failed",
            reason=Reason.GENERATOR_ERROR,
            video=None,
            sha256=None,
            bytes=None,
            actual=None,
        )
    elif change == "another":
        again(run, sha256="0" * 64)
        assert len(told(run)["scores"]["native"]) == 3
    elif change == "prompts":
        more = ("--limit", 3, "--metrics", FAST, "--out", run.parent, "--name", "a")
        assert cli(*RUN, *more).code == 0
        assert len(told(run)["scores"]["native"]) == 6
    elif change == "metrics":
        assert cli("score", run, "--metrics", "colorfulness").code == 0
        assert {len(mine) for mine in told(run)["scores"]["native"].values()} == {3}
    elif change == "retried":
        at, scores = next(iter(folder.scores("native").items()))
        sample = folder.samples()[at]
        for value, status in ((1.5, "ok"), (None, "failed")):
            stamp = scores["sharpness"].model_copy(
                update={
                    "value": value,
                    "status": status,
                    "reason": None if value else Reason.METRIC_ERROR,
                    "message": "" if value else "broke",
                }
            )
            with Journal(folder.segments.own("scores")) as journal_:
                journal_.append(
                    {"prompt_id": at[0], "seed": at[1], "sha256": sample.sha256, "normalization": "native",
                     "scores": {"sharpness": stamp.to_json()}}
                )  # fmt: skip
        assert told(run)["scores"]["native"][at]["sharpness"] == 1.5
    else:
        with Journal(RunFolder(run, shard=Shard(1, 2)).segments.own("samples")) as samples:
            best = next(iter(folder.samples().values())).model_copy(
                update={"attempts": 9, "sha256": "1" * 64}
            )
            samples.append(best.to_json())
        assert best in told(run)["samples"].values()
    assert told(run) == plainly(run)


HARMS = ["byte", "cut", "empty", "note", "another run", "older", "gone", "swapped", "pipe"]


@pytest.mark.parametrize("harm", HARMS)
def test_an_index_that_does_not_hold_is_left_aside(
    run: Path, cli: Cli, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((run / index.FOLDER).glob("*.parquet"))
    segments = [run / kind / "main.jsonl" for kind in ("samples", "scores")]
    lines = [segment.read_bytes().splitlines(keepends=True) for segment in segments]
    if harm == "another run":
        assert cli(*RUN, "--metrics", FAST, "--out", run.parent, "--name", "b").code == 0
        shutil.rmtree(run / index.FOLDER)
        shutil.copytree(run.with_name("b") / index.FOLDER, run / index.FOLDER)
    for file, segment, whole in zip(files, segments, lines, strict=True):
        data = bytearray(file.read_bytes())
        if harm == "byte":
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
        elif harm == "cut":
            file.write_bytes(data[:-40])
        elif harm == "empty":
            file.write_bytes(b"")
        elif harm == "note":
            file.with_suffix(".json").write_text('{"marks": 3}')
        elif harm == "older":  # the journal was put back to an older state
            segment.write_bytes(b"".join(whole[:-1]))
        elif harm == "swapped":
            segment.write_bytes(b"".join([*whole[1:], whole[0]]))
        elif harm == "pipe":
            file.unlink()
            os.mkfifo(file)
    if harm == "gone":
        segments[1].unlink()
    assert told(run) == plainly(run)
    left = {"older": 6, "gone": 0}.get(harm, 8)
    assert parsed(run, monkeypatch) == left


@pytest.mark.parametrize("kind", ["samples", "scores"])
def test_a_pipe_in_the_place_of_a_journal_is_named(run: Path, kind: str) -> None:
    (run / kind / "main.jsonl").unlink()
    os.mkfifo(run / kind / "main.jsonl")
    with pytest.raises(RunError, match="not a plain file"):
        told(run)


def test_no_changed_byte_of_an_index_changes_a_number(run: Path) -> None:
    whole = plainly(run)
    for file in sorted((run / index.FOLDER).iterdir()):
        kept = file.read_bytes()
        for place in range(0, len(kept), 41):
            file.write_bytes(kept[:place] + bytes([kept[place] ^ 0x10]) + kept[place + 1 :])
            assert told(run) == whole, (file.name, place)
        file.write_bytes(kept)


def test_what_run_json_does_not_have_is_an_error_with_an_index_too(run: Path) -> None:
    info = json.loads((run / "run.json").read_bytes())
    first = next(iter(info["seeds"]))
    with RunFolder(run).writing() as folder:
        folder.update(seeds={**folder.info.seeds, first: (0,)})
    with pytest.raises(RunError, match="older than this file"):
        told(run)


def test_an_index_that_cannot_be_written_costs_nothing(
    run: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise RunError("cannot be written: No space left on device")

    shutil.rmtree(run / index.FOLDER)
    monkeypatch.setattr(index, "write_atomically", full)
    assert cli("score", run, "--metrics", FAST).code == 0
    assert "its index was not written" in caplog.text and told(run) == plainly(run)


def test_odd_seeds_and_names_of_metrics(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds of more than 64 bits; metrics that are called like columns of the index."""
    seed = 1 << 70
    with RunFolder(run).writing() as folder:
        infos = folder.info.metrics["native"]
        named = dict.fromkeys(("seed", "json", "sha256", "status", "others"), infos["sharpness"])
        at, sample = next(iter(folder.samples().items()))
        folder.update(
            seeds={**folder.info.seeds, at[0]: (*folder.info.seeds[at[0]], seed)},
            metrics={"native": {**infos, **named}},
        )
        record = sample.model_copy(update={"seed": seed}).to_json()
        with Journal(folder.segments.own("samples")) as out:
            out.extend([record] * 3)
        score = folder.scores("native")[at]["sharpness"].to_json()
        with Journal(folder.segments.own("scores")) as out:
            out.append({"prompt_id": at[0], "seed": seed, "sha256": sample.sha256, "normalization": "native",
                        "scores": dict.fromkeys(named, score)})  # fmt: skip
        folder.keep_index()
    assert parsed(run, monkeypatch) == 0 and told(run) == plainly(run)
    assert set(told(run)["scores"]["native"][at[0], seed]) == set(named)


def test_a_sample_that_was_tried_again_costs_the_index_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are read on from the mark where a failed sample has a video now, or a video other bytes."""
    bad = {"status": "failed", "reason": Reason.GENERATOR_ERROR, "video": None, "sha256": None}
    good = again(run)
    again(run, **bad)
    with RunFolder(run).writing() as folder:
        folder._index.write_samples(folder.samples())
        folder._index.write_values("native", *_scores_of(folder))
    for sha256 in ("2" * 64, "3" * 64):
        with Journal(RunFolder(run).segments.own("samples")) as out:
            out.append(good.model_copy(update={"sha256": sha256}).to_json())
        assert told(run) == plainly(run)
    assert parsed(run, monkeypatch) == 2 + 4  # a sample whose older scores are of other bytes: read all
    with RunFolder(run).writing() as folder:
        folder._index.write_samples(folder.samples())
        folder._index.write_values("native", *_scores_of(folder))
    again_ = list(folder.samples())[1]
    with Journal(folder.segments.own("samples")) as out:
        out.append(folder.samples()[again_].model_copy(update={"sha256": "4" * 64}).to_json())
    assert parsed(run, monkeypatch) == 1 and told(run) == plainly(run)


def _scores_of(folder: RunFolder) -> tuple[dict[str, str], Samples, Values]:
    samples = folder.samples()
    return _digests(folder.info.metrics["native"]), samples, folder.values("native", samples)


def test_shards_at_work_leave_the_index_of_the_whole_in_use(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = next(iter(RunFolder(run).samples().values()))
    for number in (1, 2):
        shard = RunFolder(run, shard=Shard(number, 2))
        with Journal(shard.segments.own("samples")) as out:
            out.append(sample.model_copy(update={"attempts": 2 + number}).to_json())
        with Journal(shard.segments.own("scores")) as out:
            out.append(
                {"prompt_id": "x", "seed": 0, "sha256": "0" * 64, "normalization": "native", "scores": {}}
            )
    assert parsed(run, monkeypatch) == 4 and told(run) == plainly(run)


def test_small_runs_have_none(cli: Cli, tmp_path: Path) -> None:
    assert cli(*RUN, "--metrics", FAST, "--out", tmp_path, "--name", "a").code == 0
    assert not (tmp_path / "a" / index.FOLDER).exists()


def test_without_pyarrow_journals_are_read(run: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setattr(index, "is_available", lambda: False)
    assert parsed(run, monkeypatch) > 0 and told(run) == plainly(run)
    again(run, wall_seconds=3.0)
    assert cli("score", run, "--metrics", FAST).code == 0


def test_an_index_is_not_written_through_a_link(run: Path, tmp_path: Path) -> None:
    shutil.move(run / index.FOLDER, tmp_path / "elsewhere")
    (run / index.FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutsideRun), RunFolder(run).writing():
        pass


def test_any_order_of_records_reads_alike(run: Path) -> None:
    """Samples and scores at random in two segments, with an index that was written somewhere between."""
    rng = random.Random(7)
    folder = RunFolder(run)
    ids, infos = list(folder.samples()), dict[str, MetricInfo](folder.info.metrics["native"])
    one = next(iter(folder.samples().values()))
    used = [0, 0]
    for trial in range(60):
        place = run.with_name(f"t{trial}")
        shutil.copytree(run, place, ignore=shutil.ignore_patterns(index.FOLDER, "videos", "features"))
        for kind in ("samples", "scores"):
            (place / kind / "main.jsonl").write_bytes(b"")
        both = [RunFolder(place), RunFolder(place, shard=Shard(1, 2))][: rng.choice([1, 1, 2])]
        for step in range(rng.randrange(4, 24)):
            if rng.random() < 0.15:
                RunFolder(place).keep_index()
            writer, at, sha256 = rng.choice(both), rng.choice(ids), rng.choice(["a" * 64, "b" * 64])
            if step < 3 or rng.random() < 0.3:
                bad = {"status": "failed", "reason": Reason.GENERATOR_ERROR, "sha256": None, "video": None}
                change = {"sha256": sha256} if rng.random() < 0.8 else bad
                text = folder.samples()[at].text_digest if rng.random() < 0.9 else "0" * 64
                record = one.model_copy(
                    update={"prompt_id": at[0], "seed": at[1], "text_digest": text,
                            "attempts": rng.randrange(1, 4), "details": {"step": step}, **change}
                ).to_json()  # fmt: skip
                with Journal(writer.segments.own("samples")) as out:
                    out.append(record)
            else:
                metric = rng.choice(list(infos))
                info, ok = infos[metric], rng.random() < 0.6
                score = Score(
                    status="ok" if ok else "failed", value=float(step) if ok else None,
                    reason=None if ok else Reason.METRIC_ERROR, message="" if ok else "broke",
                    notes=("a",) if rng.random() < 0.3 else (),
                    metric_digest=metric_digest(info) if rng.random() < 0.9 else "other",
                    fields_digest=fields_digest(folder.prompts[at[0]], info.reads),
                )  # fmt: skip
                with Journal(writer.segments.own("scores")) as out:
                    out.append({"prompt_id": at[0], "seed": at[1], "sha256": sha256,
                                "normalization": "native", "scores": {metric: score.to_json()}})  # fmt: skip
        folder_ = RunFolder(place)
        samples = folder_.samples()
        used[0] += bool(samples.known)
        used[1] += bool(folder_.values("native", samples).known)
        assert told(place) == plainly(place), trial
    assert used[0] > 15 and used[1] > 10


def test_it_is_parquet_that_other_tools_read(run: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(run / index.FOLDER / "scores-native.parquet")
    table = table.rename(columns={"value:sharpness": "sharpness"})
    values = RunFolder(run).values("native")
    for row in table.itertuples():
        assert values[row.prompt_id, int(row.seed)]["sharpness"] == row.sharpness
    records = pandas.read_parquet(run / index.FOLDER / "samples.parquet")
    assert [json.loads(x)["prompt_id"] for x in records["json"]] == list(records["prompt_id"])
