"""Decoder processes: what crashes, hangs or outgrows a limit costs one file, and only that."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from evals.decoding.pool import DecoderJob, Event, Pool
from evals.errors import DecoderDied, DoesNotApply, UsageError, VideoError
from evals.extractors.difference import Difference
from evals.records import Normalization, Spec, digest, file_sha256
from evals.video import CenterCrop, Limits, SpacedWindows, encode
from tests.conftest import ball

# A frame extractor that breaks in the way its video's size asks for: real faults in a real decoder process.
PLUGIN = """
import ctypes, os, signal, time
import numpy as np
from evals import DoesNotApply, FRAME_EXTRACTORS, FrameExtractor, Spec

@FRAME_EXTRACTORS.register("fragile")
class Fragile(FrameExtractor):
    spec = Spec(name="fragile")
    def step(self, chunk):
        match chunk.frames.shape[2]:
            case 32: ctypes.string_at(0)
            case 34: time.sleep(600)
            case 36: os.kill(os.getpid(), signal.SIGKILL)
            case 38: os._exit(7)
            case 40: np.ones(1 << 34)
            case 42: raise ValueError("planted")
            case 44: raise DoesNotApply("too green")
        return {"n": np.ones(len(chunk.new))}
"""

FIELDS = {
    "normalization": Normalization().model_dump(mode="json"),
    "extractors": {},
    "windows": {},
}


def extracting(path: Path, plugin: Path | None = None, **fields: object) -> DecoderJob:
    """A job on a file as it is now, with the plugin's extractor and one of ours."""
    specs = {}
    if plugin is not None:
        code = digest([file_sha256(plugin)])
        fragile = Spec(name="fragile", params={"code_sha256": code})
        specs = {"fragile": ["", fragile.digest], "difference": ["", Difference.spec.digest]}
    sha256 = file_sha256(path)
    return DecoderJob(path, "extract", None, {**FIELDS, "extractors": specs, "sha256": sha256, **fields})


def windows(most: int) -> dict[str, list[object]]:
    """The windows of an encoder `x`."""
    return {"x": [SpacedWindows(most=most).to_json(), CenterCrop(side=32).to_json()]}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "fragile.py"
    path.write_text(PLUGIN)
    return path


def clip(folder: Path, width: int) -> Path:
    path = folder / f"{width}.mkv"
    encode(path, ball(4, (32, width)), 8, "ffv1")
    return path


def results(events: list[Event]) -> dict[str, Event]:
    return {e.job.path.stem: e for e in events if e.kind in ("done", "error")}


def test_each_fault_costs_one_file(tmp_path: Path, plugin: Path) -> None:
    paths = [clip(tmp_path, w) for w in (32, 48, 34, 50, 36, 52, 38, 54, 40, 56, 42, 44, 58)]
    started = time.monotonic()
    with Pool(2, Limits(stall=5.0, memory=3 << 30), [plugin]) as pool:
        found = results(list(pool.run(extracting(p, plugin) for p in paths)))
    assert time.monotonic() - started < 120
    assert set(found) == {p.stem for p in paths}
    for width in ("48", "50", "52", "54", "56", "58"):
        assert found[width].kind == "done", found[width].error
    expected = {
        "32": (DecoderDied, "SIGSEGV", False),
        "34": (DecoderDied, "no progress for 5 s", True),
        "36": (DecoderDied, "SIGKILL", True),
        "38": (DecoderDied, "exit code 7", False),
        "40": (VideoError, "limit of 3 GiB", False),
    }
    for name, (kind, message, transient) in expected.items():
        error = found[name].error
        assert isinstance(error, kind) and message in str(error), error
        assert error is not None and error.transient is transient
    for name, how, message in [("42", "failed", "ValueError: planted"), ("44", "skip", "too green")]:
        event = found[name]
        assert event.message is not None, event.error
        assert event.message.head["problems"]["fragile"][0] == how
        assert message in event.message.head["problems"]["fragile"][2]
        assert "difference/mean" in event.message.arrays  # the other extractor is not touched


def test_a_video_past_its_time_is_ended(tmp_path: Path, plugin: Path) -> None:
    with Pool(1, Limits(seconds=1.0, stall=60.0), [plugin]) as pool:
        error = results(list(pool.run([extracting(clip(tmp_path, 34), plugin)])))["34"].error
        assert isinstance(error, DecoderDied) and "limit of 1 s" in str(error)
        assert pool.ask(DecoderJob(clip(tmp_path, 48), "probe")).head["facts"]["frames"] == 4


def test_the_callers_time_does_not_count(tmp_path: Path, plugin: Path) -> None:
    with Pool(1, Limits(seconds=1.0, stall=1.0)) as pool:
        kinds = []
        for event in pool.run([extracting(clip(tmp_path, 48), windows=windows(4))]):
            kinds.append(event.kind)
            time.sleep(1.2)
    assert kinds == ["plan", "frames", "done"]


def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path, plugin: Path) -> None:
    path = clip(tmp_path, 48)
    with Pool(1, Limits(), [plugin]) as pool:
        assert pool.ask(DecoderJob(path, "probe"))
        os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        pool._workers[0].process.wait()
        assert pool.ask(DecoderJob(path, "probe")).head["facts"]["width"] == 48


def test_workers_end_with_the_pool(tmp_path: Path) -> None:
    with Pool(2) as pool:
        list(pool.run(DecoderJob(clip(tmp_path, w), "probe") for w in (48, 50)))
        processes = [w.process for w in pool._workers]
    assert len(processes) == 2 and all(p.poll() is not None for p in processes)


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    with Pool(1) as pool:
        with pytest.raises(VideoError, match="no such file"):
            pool.ask(DecoderJob(tmp_path / "none.mp4", "probe"))
        long = Normalization(seconds=60).model_dump(mode="json")
        with pytest.raises(DoesNotApply, match=r"lasts 0\.5 s"):
            pool.ask(extracting(clip(tmp_path, 48), normalization=long))


def test_a_broken_plugin_is_a_usage_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("raise RuntimeError('planted')")
    with Pool(1, plugins=[bad]) as pool, pytest.raises(UsageError, match="planted"):
        pool.ask(DecoderJob(clip(tmp_path, 48), "probe"))


def test_a_wrong_frame_count_restarts_and_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain MPEG stream cut inside its last frame: one packet more than frames that decode."""
    from tests.test_video import write

    path = tmp_path / "x.mpg"
    write(path, ball(12, (64, 64)), "mpeg2video", "yuv420p", rate=25)
    whole = path.read_bytes()
    with Pool(1) as pool:
        for size in range(len(whole) - 200, len(whole) - 3000, -100):
            path.write_bytes(whole[:size])
            events = list(pool.run([extracting(path, windows=windows(12))]))
            last = events[-1]
            if any(e.kind == "restart" for e in events):
                assert last.message is not None
                after = events[[e.kind for e in events].index("restart") + 1 :]
                frames = last.message.head["frames"]
                sent = [e.message.head["indices"] for e in after if e.kind == "frames" and e.message]
                assert [index for indices in sent for index in indices] == list(range(frames))
                assert len(last.message.arrays["x/index"]) == frames
                assert "can be decoded" in last.message.head["notes"][0]
                return
            # Until a cut falls inside the last frame it is whole, or damaged and refused.
            assert last.kind in ("done", "error")
    pytest.skip("this FFmpeg decodes or refuses every cut; no count differs")
