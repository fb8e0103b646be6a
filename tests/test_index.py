"""The index of a large run: reading through it equals reading journals from their beginning."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from evals.errors import OutsideRun, Reason, RunError
from evals.records import MetricInfo, Sample, Score
from evals.runs import index, journal
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal
from evals.runs.keys import fields_digest, metric_digest
from evals.runs.segments import Shard
from tests.conftest import Cli, call

FAST = "temporal_flicker,sharpness"
RUN = ("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 2, "--seeds", 2,
       "--size", "64x48", "--frames", 8, "--workers", 1)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is indexed as if it were a large one."""
    place = tmp_path_factory.mktemp("indexed") / "a"
    assert call(*RUN, "--metrics", FAST, "--out", place.parent, "--name", "a").code == 0
    with pytest.MonkeyPatch.context() as patch, RunFolder(place).writing() as run:
        patch.setattr(index, "EVERY", 0)
        run.keep_index()
    files = sorted(p.name for p in (place / index.FOLDER).iterdir())
    assert files == ["samples.parquet", "scores-native.parquet"]
    return place


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is indexed again as soon as there is more."""
    monkeypatch.setattr(index, "EVERY", 0)
    return Path(shutil.copytree(made, tmp_path / "runs" / "a"))


def told(run: Path) -> dict[str, Any]:
    """All that holds of a run."""
    folder = RunFolder(run)
    samples = folder.samples()
    every = {name: dict(folder.values(name, samples)) for name in folder.info.metrics}
    return {"samples": dict(samples), "ok": sorted(samples.ok()), "scores": every}


def plainly(run: Path) -> dict[str, Any]:
    """The same of a copy without an index."""
    copy = run.with_name("plain")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(index.FOLDER))
    return told(copy)


def parsed(run: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lines of journals are read for all that holds."""
    count = 0
    real = journal._parsed

    def counted(line: bytes, owner: bytes, where: str) -> Any:
        nonlocal count
        count += 1
        return real(line, owner, where)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_parsed", counted)
        told(run)
    return count


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
    asked: list[str] = []
    real = index._File.column

    def noted(self: index._File, name: str) -> Any:
        asked.append(name)
        return real(self, name)

    monkeypatch.setattr(index._File, "column", noted)
    folder = RunFolder(run)
    samples = folder.samples()
    assert samples.status(next(iter(samples))) == "ok" and "json" not in asked
    values = folder.values("native", samples)
    assert values.one(next(iter(samples)), "sharpness") is not None
    assert "sharpness" in asked and "temporal_flicker" not in asked
    assert next(iter(samples.values())).status == "ok" and "json" in asked


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


@pytest.mark.parametrize("harm", ["byte", "cut", "empty", "another run", "edited", "gone", "swapped"])
def test_an_index_that_does_not_hold_is_left_aside(
    run: Path, cli: Cli, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((run / index.FOLDER).iterdir())
    segment = run / "samples" / "main.jsonl"
    if harm == "byte":
        for file in files:
            data = bytearray(file.read_bytes())
            data[len(data) // 3] ^= 0xFF
            file.write_bytes(data)
    elif harm == "cut":
        for file in files:
            file.write_bytes(file.read_bytes()[:-40])
    elif harm == "empty":
        for file in files:
            file.write_bytes(b"")
    elif harm == "another run":
        assert cli(*RUN, "--metrics", FAST, "--out", run.parent, "--name", "b", "--seeds", 1).code == 0
        for file in (run.with_name("b") / index.FOLDER).iterdir():
            shutil.copyfile(file, run / index.FOLDER / file.name)
    elif harm == "edited":  # the journal was put back to an older state
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.write_bytes(b"".join(lines[:-1]))
    elif harm == "swapped":
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.write_bytes(b"".join([*lines[1:], lines[0]]))
    else:
        segment.unlink()
    assert told(run) == plainly(run)
    if harm not in ("byte",):  # which may be one that nothing depends on
        assert parsed(run, monkeypatch) > 0 or harm == "gone"


def test_a_damaged_column_is_no_number(run: Path) -> None:
    """Bytes of columns have checksums: a changed value is noticed when it is read."""
    file = run / index.FOLDER / "scores-native.parquet"
    whole, kept, noticed = plainly(run), file.read_bytes(), 0
    for place in range(4, len(kept), 37):
        file.write_bytes(kept[:place] + bytes([kept[place] ^ 0x10]) + kept[place + 1 :])
        try:
            assert told(run) == whole, place
        except RunError as error:
            assert "remove it" in str(error)
            noticed += 1
    assert noticed > 0


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
    kept = 0
    for trial in range(40):
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
        kept += (place / index.FOLDER).exists()
        assert told(place) == plainly(place), trial
    assert kept > 15


def test_it_is_parquet_that_other_tools_read(run: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(run / index.FOLDER / "scores-native.parquet")
    values = RunFolder(run).values("native")
    for row in table.itertuples():
        assert values[row.prompt_id, row.seed]["sharpness"] == row.sharpness
    records = pandas.read_parquet(run / index.FOLDER / "samples.parquet")
    assert [json.loads(x)["prompt_id"] for x in records["json"]] == list(records["prompt_id"])
