"""The whole job on small clips: resume, determinism under kills and workers, keys, locks, interrupts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from evals.errors import UsageError
from evals.records import SCHEMA
from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import Cli, Clips, MakeClips, ball, run_of, start

TINY = "tiny/random"
METRICS = f"temporal_flicker,warping_error[dis],clip_similarity[{TINY}],clip_consistency[{TINY}],fvd[{TINY}]"


def rows(run: Path) -> dict[str, bytes]:
    """All stored rows, whatever shard they lie in."""
    found = {}
    for shard in sorted((run / "features").glob("*.safetensors")):
        for name, array in load_file(shard).items():
            found[name] = array.tobytes()
    return found


def scores(run: Path) -> dict[tuple[str, int], Any]:
    """The current scores, exact values included."""
    return {
        at: {k: s.to_json() for k, s in found.items()}
        for at, found in RunFolder(run).scores("native").items()
    }


def test_run_writes_what_the_design_says(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("modelA").write(prompts=3, seeds=2).folder
    before = {p: p.read_bytes() for p in folder.iterdir()}
    done = cli("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["samples"] == {"planned": 6, "ok": 6}
    run = tmp_path / "runs" / "modelA"
    assert {p.name for p in run.iterdir()} >= {"run.json", "samples", "scores", "features"}
    info = json.loads((run / "run.json").read_text())
    assert info["schema"] == SCHEMA and info["seeds"]["disc-0"] == [0, 1]
    assert info["generated"]["versions"]["t2v-evals"] and info["scored"]["native"]["versions"]["t2v-evals"]
    lines = [json.loads(x) for x in (run / "scores/main.jsonl").read_text().splitlines()]
    assert len(lines) == 6 and all(len(x["scores"]) == 16 for x in lines)
    assert {p: p.read_bytes() for p in folder.iterdir()} == before  # nothing is written to the user's folder


def test_a_second_run_does_nothing_and_metrics_may_grow(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(prompts=2).folder
    base: tuple[object, ...] = ("run", "--generator", f"folder:{folder}", "--out", tmp_path)
    assert cli(*base, "--metrics", "temporal_flicker").code == 0
    state = [(tmp_path / "a" / n).read_bytes() for n in ("samples/main.jsonl", "scores/main.jsonl")]
    assert cli(*base, "--metrics", "temporal_flicker").code == 0
    assert state == [(tmp_path / "a" / n).read_bytes() for n in ("samples/main.jsonl", "scores/main.jsonl")]
    assert cli("score", tmp_path / "a", "--metrics", "sharpness").code == 0
    assert all(set(s) == {"temporal_flicker", "sharpness"} for s in scores(tmp_path / "a").values())
    first = dict(rows(tmp_path / "a"))
    assert cli("score", tmp_path / "a", "--metrics", "frozen_frames").code == 0
    assert rows(tmp_path / "a") == first  # it needs rows that are there: no video was decoded
    assert cli("score", tmp_path / "a", "--metrics", "sharpness", "--rescore").code == 0
    assert rows(tmp_path / "a") == first


def test_a_stored_metric_needs_no_video(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(prompts=2).folder
    assert (
        cli("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", "temporal_flicker").code
        == 0
    )
    for path in folder.glob("*.mkv"):
        path.unlink()
    done = cli("score", tmp_path / "a", "--metrics", "temporal_flicker,frozen_frames")
    assert done.code == 0, done.out
    assert all(s["frozen_frames"]["status"] == "ok" for s in scores(tmp_path / "a").values())
    assert cli("score", tmp_path / "a", "--metrics", "sharpness").code == 4
    assert "no such file" in cli("show", tmp_path / "a").out


@pytest.fixture
def reference(clips: MakeClips, cli: Cli, tmp_path: Path, tiny_clip: Path) -> tuple[list[object], Path]:
    """Arguments of a run with folds and an encoder, and that run done by one worker."""
    folder = clips("clips").write(prompts=5, seeds=2, frames=9).folder
    base: list[object] = ["run", "--generator", f"folder:{folder}", "--metrics", METRICS]
    base += ["--weights", f"{TINY}={tiny_clip}"]
    done = cli(*base, "--out", tmp_path / "one", "--workers", 1)
    assert done.code == 0, done.err
    return base, tmp_path / "one" / "clips"


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing(
    reference: tuple[list[object], Path], cli: Cli, tmp_path: Path, workers: int
) -> None:
    base, one = reference
    assert cli(*base, "--out", tmp_path / "more", "--workers", workers).code == 0
    assert rows(tmp_path / "more" / "clips") == rows(one)
    assert scores(tmp_path / "more" / "clips") == scores(one)


def test_order_changes_nothing(reference: tuple[list[object], Path], cli: Cli, tmp_path: Path) -> None:
    base, one = reference
    folder = Path(str(base[2]).removeprefix("folder:"))
    clips = Clips(folder)
    original = clips.rows()
    clips.manifest(original[::-1])
    assert cli(*base, "--out", tmp_path / "other", "--workers", 2).code == 0
    clips.manifest(original)
    assert rows(tmp_path / "other" / "clips") == rows(one)
    assert scores(tmp_path / "other" / "clips") == scores(one)


@pytest.mark.slow
def test_one_at_a_time_changes_nothing(
    reference: tuple[list[object], Path], cli: Cli, tmp_path: Path
) -> None:
    """Other batches, other shards, other times: the same rows."""
    base, one = reference
    for i in range(5):
        assert cli(*base, "--out", tmp_path / "slow", "--prompt-id", f"disc-{i}").code == 0
    assert rows(tmp_path / "slow" / "clips") == rows(one)
    assert scores(tmp_path / "slow" / "clips") == scores(one)


@pytest.mark.slow
def test_kills_change_nothing(reference: tuple[list[object], Path], tmp_path: Path) -> None:
    """kill -9 at growing times until a run gets through; then it equals the run that was never killed."""
    base, one = reference
    out = tmp_path / "killed"
    kills = 0
    for patience in np.linspace(0.5, 5.0, 6):
        process = start(*base, "--out", out, "--workers", 2)
        try:
            process.communicate(timeout=float(patience))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    process = start(*base, "--out", out, "--workers", 2)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert kills >= 2
    assert rows(out / "clips") == rows(one)
    assert scores(out / "clips") == scores(one)
    lines = [json.loads(x) for x in (out / "clips" / "scores/main.jsonl").read_text().splitlines()]
    assert len({(x["prompt_id"], x["seed"]) for x in lines}) == len(lines) == 10


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_resumes(clips: MakeClips, tmp_path: Path, cli: Cli) -> None:
    folder = clips("a").write(prompts=40, size=(240, 320), frames=24).folder
    base: tuple[object, ...] = ("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--workers", 1)
    process = start(*base)
    samples = tmp_path / "a" / "samples/main.jsonl"
    for _ in range(600):
        if samples.exists() and samples.stat().st_size > 0:
            break
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "goes on from here" in err and "Traceback" not in err
    recorded = len(samples.read_text().splitlines())
    assert recorded > 0
    assert cli(*base[:-2], "--metrics", "temporal_flicker").code == 0
    assert samples.read_text().count("\n") == 40


def test_another_generator_or_setting_is_refused(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    a, b = clips("a").write(1).folder, clips("b").write(1).folder
    base = ("--out", tmp_path, "--name", "same", "--metrics", "temporal_flicker")
    assert cli("run", "--generator", f"folder:{a}", *base).code == 0
    refused = cli("run", "--generator", f"folder:{b}", *base)
    assert refused.code == 2 and "holds a run of folder:a" in refused.err and "--name" in refused.err
    sized = cli("run", "--generator", f"folder:{a}", *base, "--fps", 8)
    assert sized.code == 2 and "cannot follow --fps" in sized.err and "--normalize" in sized.err


def test_a_replaced_clip_never_shows_its_old_number(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(prompts=2).folder
    base = run_of(folder, tmp_path, "--metrics", "temporal_flicker")
    assert cli(*base).code == 0
    old = scores(tmp_path / "a")
    encode(folder / "0-0.mkv", ball(12, seed=99, step=5), 8, "ffv1")
    stale = cli("score", tmp_path / "a", "--metrics", "sharpness")
    assert stale.code == 4 and "has changed" in cli("show", tmp_path / "a").out
    assert cli(*base).code == 0
    new = scores(tmp_path / "a")
    name = "temporal_flicker"
    assert new["disc-0", 0][name] != old["disc-0", 0][name]
    assert new["disc-1", 0][name] == old["disc-1", 0][name]


def test_a_corrected_prompt_never_shows_its_old_number(
    clips: MakeClips, cli: Cli, tmp_path: Path, tiny_clip: Path
) -> None:
    made = clips("a").write(prompts=2)
    base = run_of(made.folder, tmp_path, "--weights", f"{TINY}={tiny_clip}")
    base = (*base, *("--metrics", f"clip_similarity[{TINY}],temporal_flicker"))
    assert cli(*base).code == 0
    old = scores(tmp_path / "a")
    changed = made.rows()
    changed[0]["prompt"] = "something else entirely"
    made.manifest(changed)
    assert cli(*base).code == 0
    new = scores(tmp_path / "a")
    name = f"clip_similarity[{TINY}]"
    assert new["disc-0", 0][name]["value"] != old["disc-0", 0][name]["value"]
    assert new["disc-0", 0]["temporal_flicker"] == old["disc-0", 0]["temporal_flicker"]
    assert new["disc-1", 0] == old["disc-1", 0]


def test_an_annotation_that_a_metric_reads_counts(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(prompts=1)
    prompts = tmp_path / "mine.yaml"
    base = run_of(made.folder, tmp_path, "--prompts", prompts)
    base = (*base, *("--metrics", "frozen_frames,temporal_flicker"))
    for motion, status in [("high", "ok"), ("none", "skipped"), ("high", "ok")]:
        text = f"prompts: [{{id: disc-0, text: 'a disc, number 0', motion: {motion}}}]"
        prompts.write_text(text)
        assert cli(*base).code == 0
        found = scores(tmp_path / "a")["disc-0", 0]
        assert found["frozen_frames"]["status"] == status and found["temporal_flicker"]["status"] == "ok"


def test_two_writers_exclude_each_other(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(1).folder
    base = run_of(folder, tmp_path, "--metrics", "temporal_flicker")
    assert cli(*base).code == 0
    with RunFolder(tmp_path / "a").writing():
        second = start(*base)
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert f"process {os.getpid()}" in err and "is writing to this run" in err
        assert cli("show", tmp_path / "a").code == 0  # readers need no lock
    assert cli(*base).code == 0


def test_normalized_scores_stand_beside_native_ones(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    base = run_of(folder, tmp_path, "--metrics", "temporal_flicker")
    assert cli(*base).code == 0
    assert (
        cli("score", tmp_path / "a", "--metrics", "temporal_flicker", "--normalize", "fps=4,seconds=1").code
        == 0
    )
    native, slow = (RunFolder(tmp_path / "a").scores(v) for v in ("native", "fps=4,seconds=1"))
    for at, found in native.items():
        assert slow[at]["temporal_flicker"].value != found["temporal_flicker"].value
    long = cli("score", tmp_path / "a", "--metrics", "temporal_flicker", "--normalize", "seconds=60")
    assert long.code == 0  # does not apply: skipped, not failed
    skipped = RunFolder(tmp_path / "a").scores("seconds=60")
    assert all("the normalization asks for 60 s" in s["temporal_flicker"].message for s in skipped.values())


def test_the_same_bytes_twice_are_decoded_once_and_scored_twice(
    clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    made = clips("a").write(2)
    shutil.copy(made.folder / "0-0.mkv", made.folder / "1-0.mkv")
    assert (
        cli(
            "run", "--generator", f"folder:{made.folder}", "--out", tmp_path, "--metrics", "temporal_flicker"
        ).code
        == 0
    )
    found = list(scores(tmp_path / "a").values())
    assert len(found) == 2 and found[0] == found[1]
    stored = {name.partition("/")[2] for name in rows(tmp_path / "a")}
    assert len(rows(tmp_path / "a")) == 5  # of one video
    assert stored == {"mean", "block_max", "times", "shape", "notes"}


def test_python_interface(clips: MakeClips, tmp_path: Path) -> None:
    import evals
    from evals.generators import create

    folder = clips("a").write(2).folder
    config = evals.RunConfig(create(f"folder:{folder}"), tmp_path / "r")
    with evals.Resources(1) as resources:
        run = evals.generate_run(config, resources)
        assert [s.status for s in run.samples().values()] == ["ok", "ok"]
        evals.score_run(run, evals.prepare(["temporal_flicker"]), resources=resources)
    found = run.scores("native")
    assert len(found) == 2 and all(s["temporal_flicker"].status == "ok" for s in found.values())


def test_a_signal_is_why_a_command_ends_whatever_became_of_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled code may turn the exception of Ctrl-C into one of its own."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            raise UsageError("not the weights of the embedded encoders") from None

    monkeypatch.setattr("evals.runs.overview.describe", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        done = cli("show", tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130 and "goes on from here" in done.err and "weights" not in done.err
