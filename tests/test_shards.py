"""`--shard I/N` and `merge`: many processes on one run folder equal one."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from pathlib import Path

import pytest

from evals.errors import OutsideRun, RunError, RunLocked, RunMismatch, UsageError
from evals.records import file_sha256
from evals.runs import journal
from evals.runs.folder import RunFolder
from evals.runs.lock import break_lock, held
from evals.runs.merging import merge
from evals.runs.segments import MAIN, Segments, Shard
from tests.conftest import Cli, MakeClips, call, start
from tests.helpers import PLAIN
from tests.test_kills import KILLER, TABLES, state, timeless
from tests.test_run import rows

FAST = "temporal_flicker,sharpness"
WORK = ("run", "--generator", "simulated:flicker@0.3", "--prompts", "parks", "--seeds", 2,
        "--size", "96x72", "--frames", 12, "--name", "r", "--workers", 1)  # fmt: skip


def facts(run: Path) -> tuple[object, ...]:
    """What a run holds; of features all rows, whatever shard they lie in."""
    return (*state(run)[:2], rows(run), RunFolder(run).info.metrics)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_what_is_no_shard_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="not a shard"):
        Shard.parse(text)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 40])
def test_every_prompt_is_in_one_shard_and_shards_are_even(count: int) -> None:
    prompts = [f"p{i}" for i in range(23)]
    parts = [Shard(number, count).of(prompts) for number in range(1, count + 1)]
    assert sorted(p for part in parts for p in part) == sorted(prompts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.nightly)])
def test_shards_at_once_and_merged_equal_one_run(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is killed half way and run again."""
    more = ("--limit", 40, "--metrics", PLAIN)
    assert call(*WORK, *more, "--out", tmp_path / "one", "--workers", 2).code == 0
    out = tmp_path / "parts"
    killer = tmp_path / "killer.py"
    killer.write_text(KILLER)
    monkeypatch.setenv("KILL_AT", "9,2")  # inside the ninth write of whoever loads the plugin
    plugin = {3: ("--plugin", killer)}
    shards = {
        n: start(*WORK, *more, "--out", out, "--shard", f"{n}/{count}", *plugin.get(n, ()))
        for n in range(1, count + 1)
    }
    for number, process in shards.items():
        _, err = process.communicate(timeout=600)
        assert process.returncode == (-signal.SIGKILL if number == 3 else 0), err

    ok = sum(s.status == "ok" for s in RunFolder(tmp_path / "one" / "r").samples().values())
    assert ok > 30  # the others are prompts that cannot be drawn
    run = RunFolder(out / "r")
    assert run.unfinished == [f"3/{count}"] and len(run.sample_ids()) == 80
    shown = call("show", out / "r")
    assert shown.code == 0 and f"not finished: shard 3/{count}" in shown.out, shown.out
    early = tmp_path / "early"
    shutil.copytree(out / "r", early)
    done = call("merge", early)
    assert f"not finished: shard 3/{count}" in done.err, done.err
    assert len(RunFolder(early).samples()) == len(run.samples()) < 80

    assert call(*WORK, *more, "--out", out, "--shard", f"3/{count}").code == 0
    assert facts(out / "r") == facts(tmp_path / "one" / "r")  # before they are merged, too
    done = call("merge", out / "r")
    assert done.code == 0 and f"{80 + ok} records joined" in done.err, done.err
    assert facts(out / "r") == facts(tmp_path / "one" / "r")
    assert [p.name for p in (out / "r" / "samples").iterdir()] == ["main.jsonl"]
    assert not (out / "r" / "writers").exists()
    for kind in ("samples", "scores"):
        records = [r for _, r in journal.read(out / "r" / kind / "main.jsonl")]
        assert len({(r["prompt_id"], r["seed"]) for r in records}) == len(records)
        assert len(records) == (80 if kind == "samples" else ok)
    before = {p: p.read_bytes() for p in (out / "r").rglob("*.jsonl")}
    done = call("merge", out / "r")
    assert done.code == 0 and ": 0 records joined" in done.err
    assert {p: p.read_bytes() for p in (out / "r").rglob("*.jsonl")} == before
    for name in ("one", "parts"):
        assert (
            call("compare", tmp_path / name / "r", "--videos", 0, "--out", tmp_path / f"t-{name}").code == 0
        )
    for table in TABLES:
        tables = [timeless(tmp_path / f"t-{name}" / table) for name in ("one", "parts")]
        assert tables[0] == tables[1], table
    assert call(*WORK, *more, "--out", out).code == 0  # nothing is left for one process to do
    assert {p: p.read_bytes() for p in (out / "r").rglob("*.jsonl")} == before


@pytest.fixture
def sharded(clips: MakeClips, cli: Cli, tmp_path: Path) -> Path:
    """A run of five clips in two shards."""
    folder = clips("a").write(5).folder
    for number in (1, 2):
        done = cli("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", FAST,
                   "--shard", f"{number}/2")  # fmt: skip
        assert done.code == 0, done.err
    return tmp_path / "a"


def test_two_shards_of_one_number_and_another_split_are_refused(
    sharded: Path, cli: Cli, clips: MakeClips, tmp_path: Path
) -> None:
    again = ("score", sharded, "--metrics", FAST, "--shard")
    with held(sharded, "shard-1-of-2"):
        done = cli(*again, "1/2")
        assert done.code == 2 and "is writing to shard-1-of-2 of this run" in done.err, done.err
        assert cli(*again, "2/2").code == 0
        done = cli("score", sharded, "--metrics", FAST)  # the whole run waits for its shards
        assert done.code == 2 and "is writing to shard-1-of-2 of this run" in done.err, done.err
        with pytest.raises(RunLocked):
            merge(sharded)
    with held(sharded):
        assert "is writing to this run" in cli(*again, "2/2").err
    done = cli(*again, "1/3")
    assert done.code == 2 and "was split into 2 shards" in done.err and "merge" in done.err
    done = cli("run", "--generator", f"folder:{tmp_path / 'clips' / 'a'}", "--out", tmp_path, "--shard",
               "1/2", "--restart")  # fmt: skip
    assert done.code == 2 and "--restart" in done.err


def test_a_shard_that_runs_on_another_machine_is_told(sharded: Path, cli: Cli) -> None:
    """Where the file system's locks don't reach other machines, the note does."""
    note = sharded / ".lock-owner-shard-1-of-2.json"
    note.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    again = ("score", sharded, "--metrics", FAST, "--shard")
    done = cli(*again, "1/2")
    assert done.code == 2 and "process 7 on elsewhere holds shard-1-of-2" in done.err, done.err
    assert cli(*again, "2/2").code == 0
    assert "elsewhere" in cli("merge", sharded).err
    assert cli(*again, "1/2", "--break-lock").code == 0 and not note.exists()
    note.write_text(json.dumps({"host": socket.gethostname(), "pid": 7}))  # of a process that was killed
    assert cli(*again, "1/2").code == 0
    break_lock(sharded)


def edit(path: Path, number: int, change: object) -> None:
    """Change a record of a journal, under a seal that holds."""
    records = [record for _, record in journal.read(path)]
    change(records[number])  # type: ignore[operator]
    path.unlink()
    with journal.Journal(path) as one:
        one.extend(records)


def test_contradictions_are_refused_and_nothing_is_written(sharded: Path, tmp_path: Path) -> None:
    """Two segments with one sample of different bytes; one score with two values."""
    first, second = (sharded / "samples" / f"shard-{n}-of-2.jsonl" for n in (1, 2))
    copies = tmp_path / "copy"
    shutil.copytree(sharded, copies)
    stray = next(record for _, record in journal.read(first))
    with journal.Journal(second) as one:
        one.append({**stray, "sha256": "0" * 64})
    before = {p: p.read_bytes() for p in sharded.rglob("*") if p.is_file() and not p.name.startswith(".")}
    with pytest.raises(RunMismatch, match=r"cannot be merged: .*shard-1-of-2.*shard-2-of-2.* differ"):
        merge(sharded)
    after = {p: p.read_bytes() for p in sharded.rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert after == before

    line = next(record for _, record in journal.read(copies / "scores" / "shard-1-of-2.jsonl"))
    line["scores"]["sharpness"]["value"] += 1
    with journal.Journal(copies / "scores" / "shard-2-of-2.jsonl") as one:
        one.append(line)
    with pytest.raises(RunMismatch, match="differ"):
        merge(copies)


def test_the_sample_that_holds_still_holds_after_merging(sharded: Path) -> None:
    """A failed attempt in a later segment does not take a video's place; nor does an older video."""
    ok = next(record for _, record in journal.read(sharded / "samples" / "shard-1-of-2.jsonl"))
    failed = {k: v for k, v in ok.items() if k not in ("sha256", "bytes", "actual", "video", "origin")}
    failed |= {"status": "failed", "reason": "generator_error", "message": "no", "attempts": 2}
    with journal.Journal(sharded / "samples" / "shard-2-of-2.jsonl") as one:
        one.append(failed)
    newer = {**ok, "attempts": 3, "sha256": "1" * 64}
    with journal.Journal(sharded / "samples" / f"{MAIN}.jsonl") as one:
        one.append(newer)
    at = ok["prompt_id"], ok["seed"]
    assert RunFolder(sharded).samples()[at].sha256 == "1" * 64
    merge(sharded)
    assert RunFolder(sharded).samples()[at].sha256 == "1" * 64
    merge(sharded)
    assert len(RunFolder(sharded).samples()) == 5


def copied(place: Path) -> Path:
    return Path(shutil.copytree(place, place.with_name("copy")))


@pytest.mark.slow
def test_folders_of_other_machines_become_one_run(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """Shards in run folders of their own: no shared file system is needed."""
    prompts = tmp_path / "p.txt"
    prompts.write_text("a park\na lake\na hill\n")
    base = ("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 3, "--size", "64x48",
            "--frames", 6, "--metrics", FAST, "--name", "r")  # fmt: skip
    for number in (1, 2, 3):
        done = cli(*base, "--out", tmp_path / f"m{number}", "--shard", f"{number}/3")
        assert done.code == 0, done.err
    assert cli(*base, "--out", tmp_path / "whole").code == 0
    places = [tmp_path / f"m{n}" / "r" for n in (1, 2, 3)]
    assert "given twice" in cli("merge", places[0], places[0]).err
    assert "not finished: shard 3/3" in cli("merge", *map(copied, places[:2])).err
    done = cli("merge", *places)
    assert done.code == 0 and "not finished" not in done.err, done.err
    assert facts(places[0]) == facts(tmp_path / "whole" / "r")
    done = cli("merge", *places)
    assert done.code == 0 and ": 0 records joined" in done.err and "not finished" not in done.err, done.err
    shutil.rmtree(tmp_path / "m2")
    for sample in RunFolder(places[0]).samples().values():
        assert RunFolder(places[0]).video_path(sample).is_file()
    assert cli(*base[:2], "simulated:blur@0.5", *base[3:], "--out", tmp_path / "other").code == 0
    done = cli("merge", places[0], tmp_path / "other" / "r")
    assert done.code == 2 and "only parts of one run" in done.err


def test_runs_of_older_versions_are_read_and_continued(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """Their journals lie beside `run.json`."""
    folder = clips("a").write(3).folder
    base = ("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics")
    assert cli(*base, "sharpness").code == 0
    run = tmp_path / "a"
    for kind in ("samples", "scores"):
        (run / kind / "main.jsonl").rename(run / f"{kind}.jsonl")
        (run / kind).rmdir()
    before = RunFolder(run).scores("native")
    assert len(before) == 3
    old = (run / "samples.jsonl").read_bytes()
    assert cli(*base, FAST).code == 0
    after = RunFolder(run).scores("native")
    assert all(set(s) == {"temporal_flicker", "sharpness"} for s in after.values())
    assert all(after[at]["sharpness"] == before[at]["sharpness"] for at in before)
    assert (run / "samples.jsonl").read_bytes() == old and not (run / "samples" / "main.jsonl").read_bytes()
    assert cli("merge", run).code == 0


def test_a_corrected_prompt_keeps_its_new_video(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """A sample of the old words does not come back when segments are joined."""
    prompts = tmp_path / "p.yaml"
    base = ("generate", "--generator", "simulated:clean", "--prompts", prompts, "--size", "64x48",
            "--frames", 4, "--out", tmp_path, "--name", "r")  # fmt: skip
    write = "name: p\nversion: 1\nprompts:\n  - {{id: p-0, text: {}, category: c}}\n"
    prompts.write_text(write.format("a dog runs in a park"))
    assert cli(*base).code == 0
    prompts.write_text(write.format("a cat runs in a park"))
    done = cli(*base, "--shard", "1/1")
    assert done.code == 0, done.err
    before = RunFolder(tmp_path / "r").samples()
    assert len(before) == 1
    merge(tmp_path / "r")
    assert RunFolder(tmp_path / "r").samples() == before


def test_what_is_unfinished_is_told_after_merging_too(sharded: Path, cli: Cli) -> None:
    """A shard that was scored, and then got more to do and was killed, is not finished."""
    assert RunFolder(sharded).unfinished == []
    with RunFolder(sharded, shard=Shard(2, 2)).writing() as run:
        run.update(status="generated")
    segment = sharded / "scores" / "shard-2-of-2.jsonl"
    segment.write_bytes(segment.read_bytes().splitlines(keepends=True)[0])
    assert RunFolder(sharded).unfinished == ["2/2"]
    done = cli("show", sharded)
    assert "not finished: shard 2/2" in done.out
    done = cli("merge", sharded)
    assert done.code == 0 and "not finished: shard 2/2" in done.err, done.err
    assert not list(sharded.glob(".lock*shard*"))


def test_the_whole_run_knows_what_its_shards_asked_for(tmp_path: Path) -> None:
    for writer in ("shard-1-of-2", "main"):
        with journal.Journal(Segments(tmp_path, writer).own("jobs")) as one:
            one.append({"key": writer})
    known = [path.stem for path in Segments(tmp_path, MAIN).known("jobs")]
    assert known == ["main", "shard-1-of-2"]
    assert [path.stem for path in Segments(tmp_path, "shard-2-of-2").known("jobs")] == ["main"]


@pytest.fixture
def apart(cli: Cli, tmp_path: Path) -> tuple[Path, Path]:
    """Two shards in folders of their own."""
    for number in (1, 2):
        done = cli("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 2, "--size",
                   "64x48", "--frames", 4, "--metrics", FAST, "--name", "r", "--out", tmp_path / f"m{number}",
                   "--shard", f"{number}/2")  # fmt: skip
        assert done.code == 0, done.err
    return tmp_path / "m1" / "r", tmp_path / "m2" / "r"


def test_another_folder_brings_nothing_from_outside_and_nothing_damaged(apart: tuple[Path, Path]) -> None:
    first, second = apart
    (second / ".." / "payload.sh").write_text("no")
    segment = second / "samples" / "shard-2-of-2.jsonl"
    before = segment.read_bytes()
    edit(segment, 0, lambda record: record.update(video="../payload.sh"))
    with pytest.raises(OutsideRun):
        merge(first, [second])
    segment.write_bytes(before)
    video = next((second / "videos").rglob("*.mp4"))
    whole = video.read_bytes()
    video.write_bytes(whole[:-1] + b"x")
    with pytest.raises(RunError, match="not the video that was recorded"):
        merge(first, [second])
    video.unlink()
    with pytest.raises(RunError, match="is gone"):
        merge(first, [second])
    video.write_bytes(whole)
    merge(first, [second])
    placed = first / video.relative_to(second)
    assert placed.read_bytes() == whole
    placed.write_bytes(whole[:-1] + b"x")  # damaged here: the other folder has it whole
    merge(first, [second])
    assert placed.read_bytes() == whole


def test_an_older_video_does_not_replace_a_newer_one(apart: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = apart
    old = Path(shutil.copytree(second, tmp_path / "old"))
    merge(first, [second])
    sample = next(s for s in RunFolder(first).samples().values() if (second / str(s.video)).exists())
    place = first / str(sample.video)
    place.write_bytes(b"newer")
    newer = sample.model_copy(update={"attempts": 2, "sha256": file_sha256(place), "bytes": 5})
    with journal.Journal(first / "samples" / "main.jsonl") as one:
        one.append(newer.to_json())
    merge(first, [old])
    assert place.read_bytes() == b"newer" and RunFolder(first).samples()[sample.prompt_id, 0] == newer
