"""What was made is made again when it is gone, is on the disk when it is recorded, and ends with its run."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from evals.decoding.pool import DecoderJob, Pool
from evals.errors import FileUnavailable, Reason, UsageError, is_machine_fault
from evals.generators import create
from evals.records import Prompt, Request
from evals.report import PAGE, check_place
from evals.runs.folder import RunFolder
from evals.runs.leash import ActiveClock, Leashed
from evals.video import Limits, encode
from tests.conftest import ROOT, Cli, MakeClips, ball, call, run_of, start
from tests.helpers import written
from tests.test_jobs import arguments, samples, write_prompts
from tests.videoserver import Handler, World, serve

SIMULATED = ("generate", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 2,
             "--size", "64x48", "--frames", 4, "--fps", 8)  # fmt: skip


def videos(run: Path) -> list[Path]:
    return [RunFolder(run).video_path(s) for s in RunFolder(run).samples().values()]


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["gone", "cut", "another"])
def test_a_generated_video_that_is_harmed_is_made_again(cli: Cli, tmp_path: Path, harm: str) -> None:
    assert cli(*SIMULATED, "--out", tmp_path).code == 0
    run = tmp_path / "clean"
    first, second = videos(run)
    whole, other = first.read_bytes(), second.stat()
    if harm == "gone":
        first.unlink()
    elif harm == "cut":
        first.write_bytes(whole[:-10])
    else:
        first.write_bytes(whole[:-4] + b"abcd")
        os.utime(first, (time.time() + 10, time.time() + 10))
    assert cli(*SIMULATED, "--out", tmp_path).code == 0
    assert first.read_bytes() == whole
    assert second.stat().st_mtime_ns == other.st_mtime_ns  # what is whole is left alone
    aside = list(first.parent.glob(".*.changed"))
    assert bool(aside) == (harm != "gone")  # what was put in its place is kept
    again = {at: s.attempts for at, s in RunFolder(run).samples().items()}
    assert sorted(again.values()) == [1, 2]


def test_a_paid_video_that_is_gone_is_fetched_and_not_paid_again(cli: Cli, tmp_path: Path) -> None:
    with serve(world := World(tmp_path / "server")) as base:
        made = arguments(base, write_prompts(tmp_path / "p.yaml", ["a ball"]), tmp_path)
        assert cli(*made).code == 0
        [video] = videos(tmp_path / "run")
        whole = video.read_bytes()
        video.write_bytes(whole[:100])
        assert cli(*made).code == 0
        assert video.read_bytes() == whole and list(world.accepted.values()) == [1]


def test_scores_of_a_video_made_again_are_of_the_new_one(cli: Cli, tmp_path: Path) -> None:
    assert cli(*SIMULATED, "--out", tmp_path).code == 0
    [first, _] = videos(tmp_path / "clean")
    assert cli("score", tmp_path / "clean", "--metrics", "temporal_flicker").code == 0
    first.unlink()
    assert cli(*SIMULATED, "--out", tmp_path).code == 0
    assert cli("score", tmp_path / "clean", "--metrics", "temporal_flicker").code == 0


@pytest.mark.slow
def test_a_line_is_written_after_its_video_is_on_the_disk(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "trace"
    tracing = [strace, "-f", "-y", "-e", "trace=fsync,write", "-o", log]
    command = [*tracing, sys.executable, ROOT / "run_eval.py", *SIMULATED, "--out", tmp_path, "--limit", 1]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if "ptrace" in done.stderr:
        pytest.skip("this machine does not let strace trace")
    assert done.returncode == 0, done.stderr
    lines = log.read_text(errors="replace").splitlines()

    def first(pattern: str) -> int:
        return next(i for i, line in enumerate(lines) if re.search(pattern, line))

    written = first(r"write\(\d+<[^>]*samples/main\.jsonl>")
    assert first(r"fsync\(\d+<[^>]*/videos/[^>]*\.mp4>") < written
    assert first(r"fsync\(\d+<[^>]*/videos/[^/>]*>\)") < written  # the folder that names it
    assert first(r"fsync\(\d+<[^>]*/videos>\)") < written


class SameId(Handler):
    """Answers every submit with the id of the first job."""

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**super().shown(job), "id": "video_0"}


def test_two_requests_never_share_a_job(cli: Cli, tmp_path: Path) -> None:
    with serve(World(tmp_path / "server", lists=False), SameId) as base:
        made = arguments(base, write_prompts(tmp_path / "p.yaml", ["a ball", "a cube"]), tmp_path)
        assert cli(*made, "-o", "concurrency=1").code == 4
        rows = samples(tmp_path / "run")
        assert [rows[f"p-{i}"]["status"] for i in range(2)] == ["ok", "failed"]
        assert "another request's" in rows["p-1"]["message"]
        assert cli(*made, "-o", "concurrency=1").code == 4  # and not asked for again


@pytest.mark.slow
def test_a_clock_that_is_set_before_the_restart_pays_once(tmp_path: Path) -> None:
    """The client's clock is 5 minutes ahead while it submits, its answer is lost, and it is killed."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not installed")
    text = "a ball [submit=reset-accepted]"
    with serve(world := World(tmp_path / "server")) as base:
        made = arguments(base, write_prompts(tmp_path / "p.yaml", [text]), tmp_path)
        words = [faketime, "-f", "+300s", sys.executable, str(ROOT / "run_eval.py"), *map(str, made)]
        world.lists = False
        # Without a list the look-up fails; what stands in the log is the intent of a clock that is ahead.
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert world.accepted[text, "0"] == 1, done.stderr
        world.lists = True
        log = tmp_path / "run" / "jobs/main.jsonl"
        kept = [line for line in log.read_text().splitlines(keepends=True) if '"intent"' in line]
        log.write_text("".join(kept))
        assert '"ahead":-' in kept[0]
        (tmp_path / "run" / "samples/main.jsonl").unlink()
        assert call(*made).code == 0
        assert world.accepted[text, "0"] == 1


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC])
def test_a_machine_that_is_short_of_something_is_no_samples_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    assert is_machine_fault(OSError(code, "x")) and is_machine_fault(MemoryError())
    assert not is_machine_fault(OSError(errno.ENOENT, "x")) and not is_machine_fault(ValueError())

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("evals.generators.command.Leashed", refuse)
    made = create("command:make {prompt} {out}").generate(
        Request(prompt=Prompt(id="p", text="a")), tmp_path / "x.mp4"
    )
    assert made.status == "failed" and made.transient


def test_too_few_file_handles_in_a_decoder_may_be_tried_again(tmp_path: Path) -> None:
    encode(tmp_path / "x.mkv", ball(3), 8, "ffv1")
    plugin = tmp_path / "hungry.py"
    plugin.write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))\n"
        "import os\nheld = []\n"
        "try:\n    while True: held.append(os.open('/dev/null', 0))\nexcept OSError: pass\n"
    )
    with Pool(1, Limits(), [plugin]) as pool, pytest.raises(FileUnavailable) as short:
        pool.ask(DecoderJob(tmp_path / "x.mkv", "probe"))
    assert short.value.transient and short.value.reason == Reason.FILE_UNREADABLE


# --- reports ---


def test_a_report_is_the_old_one_or_the_new_one(
    scored: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report"
    assert cli("compare", scored, "--out", out).code == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    assert cli("score", scored, "--metrics", "sharpness").code == 0
    monkeypatch.setattr("evals.report.page.media.make", stop)
    assert cli("compare", scored, "--out", out).code == 130
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_page_that_is_no_report_is_not_overwritten(scored: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / PAGE).write_text("<html>my home page</html>")
    for command in (("compare", scored), ("demo",)):
        refused = cli(*command, "--out", out)
        assert refused.code == 2 and "--force" in refused.err
    assert (out / PAGE).read_text() == "<html>my home page</html>" and len(list(out.iterdir())) == 1
    with pytest.raises(UsageError, match="no report wrote"):
        check_place(out)
    assert cli("compare", scored, "--out", out, "--force").code == 0
    assert cli("compare", scored, "--out", out).code == 0


# --- signals ---

SLEEPER = (
    "import os, subprocess, sys, time\nfrom pathlib import Path\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
    "Path({mark!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\ntime.sleep(300)\n"
)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while any(alive(p) for p in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(alive(p) for p in pids)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends what a killed process started")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("serve_it", [False, True])
def test_what_a_run_started_ends_with_it(tmp_path: Path, number: signal.Signals, serve_it: bool) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "sleeper.py").write_text(SLEEPER.format(mark=str(mark)))
    words = f"command:{sys.executable} {tmp_path / 'sleeper.py'}" + ("" if serve_it else " {prompt} {out}")
    more = ("-o", "serve=true") if serve_it else ()
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball"])
    process = start("generate", "--generator", words, "--prompts", prompts, "--out", tmp_path, *more)
    pids = [int(x) for x in written(mark, process).split()]
    assert all(map(alive, pids))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert gone(pids)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number and "the same command goes on from here" in err
        assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends what a killed process started")
def test_decoders_end_with_a_killed_run(clips: MakeClips, tmp_path: Path) -> None:
    plugin, mark = tmp_path / "slow.py", tmp_path / "mark"
    plugin.write_text(
        "import os, ctypes\nfrom pathlib import Path\n"
        "from evals import FRAME_EXTRACTORS, METRICS, About, FrameExtractor, Need, Spec, Value, VideoMetric\n"
        "@FRAME_EXTRACTORS.register('slow')\nclass Slow(FrameExtractor):\n"
        "    spec = Spec(name='slow')\n"
        f"    def step(self, chunk):\n        Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        "        ctypes.PyDLL(None).sleep(300)\n"  # holds the interpreter: no thread of Python can look
        "@METRICS.register('slow_metric')\nclass M(VideoMetric):\n"
        "    spec, about, needs = Spec(name='m'), About('none'), (Need('frames', 'slow'),)\n"
        "    def score(self, clip): return Value(1.0)\n"
    )
    folder = clips("a").write(1).folder
    process = start(*run_of(folder, tmp_path, "--plugin", plugin, "--metrics", "slow_metric"))
    pid = int(written(mark, process))
    process.kill()
    process.communicate(timeout=60)
    assert gone([pid])


@pytest.mark.nightly
def test_a_run_that_was_stopped_for_a_while_goes_on(clips: MakeClips, tmp_path: Path) -> None:
    """Stopped (Ctrl-Z) for longer than the stall limit while a decoder works."""
    plugin, mark = tmp_path / "steps.py", tmp_path / "mark"
    plugin.write_text(
        "import time\nimport numpy as np\nfrom pathlib import Path\n"
        "from evals import FRAME_EXTRACTORS, METRICS, About, FrameExtractor, Need, Spec, Value, VideoMetric\n"
        "@FRAME_EXTRACTORS.register('steps')\nclass Steps(FrameExtractor):\n"
        "    spec = Spec(name='steps')\n"
        f"    def step(self, chunk):\n        Path({str(mark)!r}).touch()\n        time.sleep(1.5)\n"
        "        return {'n': np.ones(len(chunk.new))}\n"
        "@METRICS.register('stepped')\nclass M(VideoMetric):\n"
        "    spec, about, needs = Spec(name='m'), About('none'), (Need('frames', 'steps'),)\n"
        "    def score(self, clip): return Value(1.0)\n"
    )
    folder = clips("a").write(1).folder
    process = start(
        *run_of(
            folder, tmp_path, "--plugin", plugin, "--metrics", "stepped", "--stall-limit", 4, "--workers", 1
        )
    )
    while not mark.exists():
        time.sleep(0.02)
        assert process.poll() is None
    [worker] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, int(worker)):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(10)
    for pid in (process.pid, int(worker)):
        os.kill(pid, signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_a_clock_leaves_out_what_it_slept_through(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("evals.runs.leash.time.monotonic", lambda: now[0])
    clock = ActiveClock()
    start_, now[0] = clock.now(), 101.0
    clock.waited(100.0, 0.2)
    assert clock.now() - start_ == pytest.approx(1.0)  # a busy machine
    now[0] = 1101.0
    clock.waited(101.0, 0.2)
    assert clock.now() - start_ == pytest.approx(1.2)  # a stopped one


def test_a_leash_leaves_no_file_open() -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0

    before = opened()
    for _ in range(5):
        assert Leashed([sys.executable, "-c", "raise SystemExit(3)"]).end() in (3, -9)
    with pytest.raises(OSError):
        Leashed(["/no/such/program"])
    assert opened() == before


def test_a_sparse_archive_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    """10 KB that unpack to 3 GB."""
    folder = tmp_path / "shards"
    folder.mkdir()
    hole = tmp_path / "x.mp4"
    with hole.open("wb") as file:
        file.truncate(3 << 30)
    (tmp_path / "x.json").write_text(json.dumps({"prompt": "a ball"}))
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("tar is not installed")
    command = [tar, "--sparse", "-cf", str(folder / "0.tar"), "-C", str(tmp_path), "x.mp4", "x.json"]
    subprocess.run(command, check=True)
    assert (folder / "0.tar").stat().st_size < 100_000
    assert tarfile.is_tarfile(folder / "0.tar")
    done = cli("generate", "--generator", f"folder:{folder}", "--out", tmp_path / "runs")
    assert done.code == 4
    [sample] = RunFolder(tmp_path / "runs" / "shards").samples().values()
    assert "larger than the archive" in sample.message
    written = sum(p.stat().st_blocks for p in (tmp_path / "runs").rglob("*") if p.is_file())
    assert written * 512 < 1_000_000
