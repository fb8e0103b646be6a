"""What a second attack found: links in runs, stale code, lists without an end, lost answers."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from evals.compare.results import Caution
from evals.errors import Reason, RunError, UsageError, VideoError
from evals.registry import load_plugin
from evals.remote.client import Client, key_from
from evals.remote.wire import NotSent, Wire
from evals.runs import secrets
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.video import encode, probe
from tests.conftest import Cli, MakeClips, ball, call, run_of, start
from tests.test_compare import made, of, said, values  # noqa: F401 - a fixture
from tests.test_jobs import arguments, samples, write_prompts
from tests.test_survival import gone
from tests.test_video import write
from tests.videoserver import Handler, World, serve

# What anyio leaves of a connection that is cancelled while it is being made warns when it is collected.
HALF_OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# --- run folders from elsewhere ---


def test_scoring_a_run_writes_through_no_link(scored: Path, cli: Cli, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    journal = scored / "scores.jsonl"
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


@pytest.mark.parametrize("file", ["samples.jsonl", "scores.jsonl", "run.json"])
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
    assert "the-middle-2" not in (tmp_path / "r" / "samples.jsonl").read_text()


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
    assert found.pairs[0].verdict == "inconclusive" and found.pairs[0].reason == Reason.LOW_COVERAGE
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


# --- money ---


class Late(Handler):
    """Its list dates jobs ten seconds earlier than its answers' clock: a gateway before a database."""

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**super().shown(job), "created_at": job["created_at"] - 10}


class Endless(Handler):
    """Lists oldest first, two a page, whatever it is asked for, and says that there is more."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0].rstrip("/") != "/v1/videos":
            return super().do_GET()
        after = dict(p.partition("=")[::2] for p in self.path.partition("?")[2].split("&")).get("after")
        first = int(str(after).partition("_")[2]) + 1 if after and after.startswith("old") else 0
        jobs = [
            {"id": f"old_{i}", "prompt": "x", "seed": "0", "created_at": i} for i in range(first, first + 2)
        ]
        return self.send(200, {"object": "list", "data": jobs, "has_more": True})


@pytest.mark.slow
@pytest.mark.parametrize("handler", [Late, Endless])
def test_a_lost_answer_is_never_paid_twice(cli: Cli, tmp_path: Path, handler: type[Handler]) -> None:
    with serve(world := World(tmp_path / "server"), handler) as base:
        texts = [f"ball {i} [submit=reset-accepted]" for i in range(2)]
        cli(*arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path))
        assert list(world.accepted.values()) == [1, 1]


def test_a_paid_video_that_was_cut_is_fetched_though_its_sample_is_lost(cli: Cli, tmp_path: Path) -> None:
    with serve(world := World(tmp_path / "server")) as base:
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", ["a ball"]), tmp_path)
        assert cli(*made_by).code == 0
        [video] = (tmp_path / "run" / "videos").rglob("*.mp4")
        (tmp_path / "run" / "samples.jsonl").unlink()
        video.write_bytes(b"")
        assert cli(*made_by).code == 0
        assert samples(tmp_path / "run")["p-0"]["status"] == "ok" and list(world.accepted.values()) == [1]


class SlowSubmit(Handler):
    def do_POST(self) -> None:
        self.world.stuck = True
        time.sleep(2)
        super().do_POST()


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 8])
def test_ctrl_c_loses_no_submit_that_was_sent(tmp_path: Path, concurrency: int) -> None:
    with serve(world := World(tmp_path / "server", lists=False), SlowSubmit) as base:
        texts = [f"ball {i}" for i in range(12)]
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)
        process = start(*made_by, "-o", f"concurrency={concurrency}")
        while not world.stuck:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        events = [json.loads(x)["event"] for x in (tmp_path / "run" / "jobs.jsonl").read_text().splitlines()]
        assert events.count("accepted") == sum(world.accepted.values()) >= 1
        assert "unknown" not in events and events.count("intent") == events.count("accepted") + events.count(
            "rejected"
        )


def test_a_key_that_no_header_can_hold_is_refused_before_anything_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in ("schlüssel-123456", "two words here", "line\nend-of-it"):
        monkeypatch.setenv("SOME_API_KEY", key)
        with pytest.raises(UsageError, match="SOME_API_KEY") as refused:
            key_from("SOME_API_KEY", "", needed=True)
        assert key not in str(refused.value)


@HALF_OPEN
def test_a_request_that_was_never_sent_says_so() -> None:
    """Nobody answers at this address: the time runs out before a byte is sent."""
    wire = Wire(0.5)
    wire.stop()
    with pytest.raises(NotSent):
        wire.exchange(httpx.Request("POST", "http://127.0.0.1:9/x"))
    wire.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and no handshake
        started = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            wire.exchange(httpx.Request("POST", f"https://127.0.0.1:{silent.getsockname()[1]}/x"))
        assert time.monotonic() - started < 5
    wire.close()
    gc.collect()


@pytest.mark.slow
@HALF_OPEN
def test_closing_while_requests_run_leaves_nobody_waiting(tmp_path: Path) -> None:
    with serve(World(tmp_path / "server")) as base:
        client = Client(base, "", timeout=5.0)
        stop = threading.Event()
        odd: list[BaseException] = []

        def ask() -> None:
            while not stop.is_set():
                try:
                    client.get(f"{base}/videos")
                except Exception as error:  # noqa: BLE001 - which one it is, is the question
                    if type(error).__name__ != "Trouble":
                        odd.append(error)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            time.sleep(0.03)
            client.close()
        stop.set()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert not odd, odd[:3]
        client.close()
    gc.collect()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("end", ["time", "term"])
def test_what_makes_a_process_group_of_its_own_ends_too(cli: Cli, tmp_path: Path, end: str) -> None:
    if shutil.which("timeout") is None:
        pytest.skip("timeout is not installed")
    mark = tmp_path / "mark"
    script = tmp_path / "mk.sh"
    script.write_text(f"timeout 177 bash -c 'echo $$ > {mark}; sleep 175'\n")
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball"])
    base = ("generate", "--generator", f"command:bash {script} {{prompt}} {{out}}", "--prompts", prompts,
            "--out", tmp_path, "--name", "r", "-o", f"time_limit={8 if end == 'time' else 100}")  # fmt: skip
    process = start(*base)
    while not (mark.exists() and mark.read_text().strip()):
        time.sleep(0.02)
        assert process.poll() is None
    pid = int(mark.read_text())
    if end == "term":
        process.terminate()
    process.communicate(timeout=60)
    assert gone([pid], 10)
