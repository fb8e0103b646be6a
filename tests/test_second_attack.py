"""What a second attack found: links in runs, stale code, odd videos."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evals.compare.results import Caution
from evals.errors import Reason, RunError, VideoError
from evals.registry import load_plugin
from evals.runs import secrets
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.video import encode, probe
from tests.conftest import Cli, MakeClips, ball, call, run_of
from tests.test_compare import made, of, said, values  # noqa: F401 - a fixture
from tests.test_jobs import write_prompts
from tests.test_video import write

# --- run folders from elsewhere ---


def test_scoring_a_run_writes_through_no_link(scored: Path, cli: Cli, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    journal = scored / "scores/main.jsonl"
    journal.unlink()
    journal.symlink_to(token)
    done = cli("score", scored, "--metrics", "sharpness")
    assert done.code == 2 and token.read_text() == "secret"
    journal.unlink()
    elsewhere = tmp_path / "elsewhere"
    shutil.move(scored / "features", elsewhere)
    (scored / "features").symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    done = cli("score", scored, "--metrics", "sharpness")
    assert done.code == 2 and "is a link" in done.err and sorted(elsewhere.iterdir()) == before


@pytest.mark.parametrize("file", ["samples/main.jsonl", "scores/main.jsonl", "run.json"])
def test_a_pipe_or_a_device_in_a_run_is_named(scored: Path, cli: Cli, file: str) -> None:
    (scored / file).unlink()
    os.mkfifo(scored / file)
    assert "plain file" in cli("show", scored).err
    (scored / file).unlink()
    (scored / file).symlink_to("/dev/zero")
    assert "plain file" in cli("show", scored).err


def test_an_older_record_of_a_run_is_not_taken(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(3).folder
    base = run_of(folder, tmp_path, "--metrics", "temporal_flicker")
    assert cli(*base, "--limit", 2).code == 0
    older = (tmp_path / "a" / "run.json").read_bytes()
    assert cli(*base).code == 0
    (tmp_path / "a" / "run.json").write_bytes(older)
    with pytest.raises(RunError, match="older than this file"):
        RunFolder(tmp_path / "a").samples()


def test_features_cannot_change_places(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.put("aaaa", {"x": np.arange(3.0)})
    store.put("bbbb", {"x": np.ones(3)})
    store.commit()
    [shard] = tmp_path.iterdir()
    data = shard.read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    head = data[:size].replace(b"aaaa/", b"cccc/").replace(b"bbbb/", b"aaaa/").replace(b"cccc/", b"bbbb/")
    shard.write_bytes(head + data[size:])
    with pytest.raises(RunError, match="is damaged"):
        FeatureStore(tmp_path).get("aaaa")


def test_a_key_in_the_command_or_an_option_is_not_kept(tmp_path: Path, cli: Cli) -> None:
    secrets.remember("sk-in-a-command-line-1")
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball"])
    words = f"command:{sys.executable} -c pass --token sk-in-a-command-line-1 {{prompt}} {{out}}"
    base = ("generate", "--generator", words, "--prompts", prompts, "--out", tmp_path, "--name", "r")
    assert cli(*base).code == 4
    assert cli(*base).code == 4  # and it is the same run when it is resumed
    for path in (tmp_path / "r").rglob("*"):
        assert not path.is_file() or b"sk-in-a-command" not in path.read_bytes(), path


def test_a_key_that_is_cut_is_hidden_first(tmp_path: Path, cli: Cli) -> None:
    secrets.remember("sk-cut-in-the-middle-2")
    code = "import sys; sys.stderr.write('x' * 30 + 'sk-cut-in-the-middle-2' + 'y' * 1990); sys.exit(1)"
    script = tmp_path / "make.py"
    script.write_text(code)
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball"])
    words = f"command:{sys.executable} {script} {{prompt}} {{out}}"
    assert (
        cli("generate", "--generator", words, "--prompts", prompts, "--out", tmp_path, "--name", "r").code
        == 4
    )
    assert "the-middle-2" not in (tmp_path / "r" / "samples/main.jsonl").read_text()


# --- code ---

METRIC = (
    "from evals import METRICS, About, Need, Spec, Value, VideoMetric\n{extra}"
    "@METRICS.register('{name}')\nclass M(VideoMetric):\n"
    "    spec, about, needs = Spec(name='m'), About('none'), (Need('frames', 'difference'),)\n"
    "    def score(self, clip): return Value({value})\n"
)


def test_a_stale_compiled_file_is_not_run(tmp_path: Path) -> None:
    """Two edits of one length within a second: Python's cache of compiled files cannot tell them apart."""
    from evals.metrics import create

    plugin = tmp_path / "stale.py"
    plugin.write_text(METRIC.format(extra="", name="stale_one", value="1.0"))
    os.utime(plugin, (1e9, 1e9))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compile_it = [sys.executable, "-m", "py_compile", str(plugin)]
    subprocess.run(compile_it, check=True, env=environment)
    plugin.write_text(METRIC.format(extra="", name="stale_one", value="2.0"))
    os.utime(plugin, (1e9, 1e9))
    load_plugin(plugin)
    metric: Any = create("stale_one")
    assert metric.score(None).value == 2.0


@pytest.mark.slow
def test_a_plugins_helper_is_part_of_its_identity(clips: MakeClips, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    (tmp_path / "helpmod.py").write_text("K = 1.0\n")
    plugin = tmp_path / "uses.py"
    extra = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport helpmod\n"
    plugin.write_text(METRIC.format(extra=extra, name="helped", value="helpmod.K"))
    base = run_of(folder, tmp_path, "--plugin", plugin, "--metrics", "helped")
    assert call(*base, "--limit", 1).code == 0
    (tmp_path / "helpmod.py").write_text("K = 9.25\n")
    assert call(*base).code == 0
    found = RunFolder(tmp_path / "a").scores("native")
    assert {s["helped"].value for s in found.values()} == {9.25} and len(found) == 2


# --- comparisons ---


def test_reworded_prompts_are_no_coverage_and_concern_their_pair_alone(
    made: Callable[..., Path],  # noqa: F811
) -> None:
    a, b = made("a", values(0.2, n=40)), made("b", values(0.0, n=40, seed=1))
    other = made("w", values(0.0, n=40, seed=2), words="other words for {}")
    alone, together = of(a, b).pairs[0], of(a, b, other).pairs[0]
    assert (alone.n_pairs, alone.coverage) == (together.n_pairs, together.coverage) == (40, 1.0)
    pair = of(a, other).pairs[0]
    assert pair.verdict == "not comparable" and pair.reason == Reason.NO_SHARED_PROMPT


@pytest.mark.parametrize("how", ["failed", "skipped:too_few_frames", "missing", "broken"])
def test_no_model_wins_by_losing_its_worst_videos_without_a_word(made: Callable[..., Path], how: str) -> None:  # noqa: F811
    """Six of thirty lost: there was a verdict, and not one warning."""
    lost = values(1.0, n=30)
    for i in range(6):
        lost[f"p{i}", 0] = how
    found = of(made("a", values(0.0, n=30, seed=1)), made("b", lost))
    assert found.pairs[0].verdict == "inconclusive"
    assert found.pairs[0].reason in (Reason.LOW_COVERAGE, Reason.MISSING_MAY_MATTER)
    assert said(found, Caution.MISSING_SCORES) or said(found, Caution.MISSING_VIDEOS)


def test_shapes_are_compared_video_by_video(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    sizes = {"x": [(48, 64), (96, 128)], "y": [(96, 128), (48, 64)]}
    for name, mine in sizes.items():
        folder = clips(name).write(2).folder
        for i, size in enumerate(mine):
            encode(folder / f"{i}-0.mkv", ball(8, size, seed=i), 8, "ffv1")
        assert cli(*run_of(folder, tmp_path, "--metrics", "temporal_flicker")).code == 0
    done = cli("compare", tmp_path / "x", tmp_path / "y", "--out", tmp_path / "r", "--videos", 0)
    assert "the runs differ in size" in done.err


def test_scores_that_could_not_be_made_again_are_named(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    assert cli(*run_of(folder, tmp_path, "--metrics", "temporal_flicker")).code == 0
    shutil.rmtree(tmp_path / "a" / "features")
    (tmp_path / "a" / "features").mkdir()
    for path in folder.glob("*.mkv"):
        encode(path, ball(7, seed=50), 8, "ffv1")
    done = cli("score", tmp_path / "a", "--metrics", "temporal_flicker", "--rescore")
    assert "2 videos could not be scored again" in done.err and "has changed" in done.err


# --- videos ---


def test_pictures_without_their_end_are_truncated(tmp_path: Path) -> None:
    pictures = [Image.fromarray(f) for f in ball(8)]
    for name in ("x.gif", "x.png"):
        path = tmp_path / name
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
        assert probe(path).facts.frames == 8
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(VideoError, match="truncated"):
            probe(path)


def test_a_video_lasts_as_long_as_its_last_frame_is_shown(tmp_path: Path) -> None:
    frames = ball(8)
    pictures = [Image.fromarray(f) for f in frames]
    for name in ("x.gif", "x.webp"):
        path = tmp_path / name
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100] * 7 + [1000])
        facts = probe(path).facts
        assert facts.duration == pytest.approx(1.7, abs=0.02) and facts.variable_rate


def test_a_rate_goes_by_the_times_in_every_container(tmp_path: Path) -> None:
    pts = [0, 100, 200, 700, 800, 900]
    rates = []
    for name in ("x.mkv", "x.mp4"):
        write(tmp_path / name, ball(6, (64, 64)), "libx264", "yuv420p", pts=pts, rate=10)
        found = probe(tmp_path / name)
        assert found.facts.variable_rate and np.allclose(found.times, np.array(pts) / 1000, atol=2e-3)
        rates.append(found.facts.fps)
    assert rates[0] == pytest.approx(rates[1], rel=0.05)


def test_a_fast_gif_plays_as_players_play_it(tmp_path: Path) -> None:
    pictures = [Image.fromarray(f) for f in ball(6)]
    pictures[0].save(tmp_path / "x.gif", save_all=True, append_images=pictures[1:], duration=10)
    assert probe(tmp_path / "x.gif").facts.fps == pytest.approx(10, rel=0.05)


def test_what_a_decoder_complains_of_is_noted(tmp_path: Path) -> None:
    from evals.video import decode

    write(tmp_path / "x.avi", ball(10, (96, 128)), "mjpeg", "yuvj420p")
    data = bytearray((tmp_path / "x.avi").read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) // 3, len(data) - 2000, 40):
        data[at] ^= 0x5A
    (tmp_path / "x.avi").write_bytes(data)
    notes: list[str] = []
    try:
        list(decode(probe(tmp_path / "x.avi"), notes=notes))
    except VideoError:
        return
    assert any("the decoder reports" in note for note in notes)
