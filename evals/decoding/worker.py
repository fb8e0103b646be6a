"""The decoder process: `python -m evals.decoding.worker FD`.

It takes one job at a time from its socket and answers with messages until `done` or `error`; the end
of the file ends it. It never loads torch. Whatever a broken file does to it costs that file only.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evals import video
from evals.decoding import wire
from evals.decoding.windows import Sampler, Sampling
from evals.errors import DoesNotApply, EvalsError
from evals.features import Rows
from evals.folds import FOLDS, Fold
from evals.records import View
from evals.registry import load_plugin

Problem = tuple[str, str]


def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    receiver = wire.Receiver()
    hello = wire.receive(sock, receiver)
    if hello is None:
        return
    limits = video.Limits(**hello.head["limits"])
    _restrain(limits)
    try:
        for plugin in hello.head["plugins"]:
            load_plugin(Path(plugin))
    except EvalsError as error:
        wire.send(sock, {"type": "error", "kind": "usage", "message": str(error)})
        return
    wire.send(sock, {"type": "ready"})
    while (job := wire.receive(sock, receiver)) is not None:
        try:
            _JOBS[job.head["kind"]](sock, job.head, limits)
        except BrokenPipeError:
            return
        except DoesNotApply as error:
            wire.send(sock, {"type": "error", "kind": "skip", "message": str(error)})
        except EvalsError as error:
            wire.send(sock, {"type": "error", "kind": "video", "message": str(error)})
        except MemoryError:
            message = f"decoding needs more than the limit of {limits.memory / 2**30:.3g} GiB"
            wire.send(sock, {"type": "error", "kind": "video", "message": message, "last": True})
            return  # what memory is left in what state is anybody's guess
        except Exception as error:  # noqa: BLE001 - reported to the pool, which records it
            message = f"decoder error: {type(error).__name__}: {error}"
            wire.send(sock, {"type": "error", "kind": "video", "message": message})


def _restrain(limits: video.Limits) -> None:
    """Bound memory, forbid core files and stray threads, and end with the parent."""
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the limit is not enforced
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        bound = limits.memory if hard == resource.RLIM_INFINITY else min(limits.memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _probe(sock: socket.socket, job: dict[str, Any], limits: video.Limits) -> None:
    found = video.probe(Path(job["path"]), limits)
    wire.send(sock, {"type": "done", "facts": found.facts.model_dump(mode="json")})


def _preview(sock: socket.socket, job: dict[str, Any], limits: video.Limits) -> None:
    """A small H.264 copy for a report: at most `seconds` long, `short_side` pixels on its short side."""
    found = video.probe(Path(job["path"]), limits)
    facts = found.facts
    side = min(job["short_side"], facts.width, facts.height)
    seconds = min(job["seconds"], facts.duration)
    view = View(short_side=side if side >= 16 else None, seconds=seconds)
    frames = (f for c in video.decode(found, view, limits.chunk_bytes) for f in c.new)
    video.encode(Path(job["out"]), frames, min(facts.fps, 60.0), crf=30)
    wire.send(sock, {"type": "done"})


def _extract(sock: socket.socket, job: dict[str, Any], limits: video.Limits) -> None:
    found = video.probe(Path(job["path"]), limits)
    view = View.model_validate(job["view"])
    count = found.facts.frames
    try:
        _pass(sock, job, limits, found, view, count)
    except video.FrameCountDiffers as error:
        if error.decoded == 0:
            raise
        # Sampling went by a wrong count: start over with the right one, and say so in the record.
        wire.send(sock, {"type": "restart"})
        _pass(sock, job, limits, found, view, error.decoded, [str(error)])


def _pass(
    sock: socket.socket,
    job: dict[str, Any],
    limits: video.Limits,
    found: video.Video,
    view: View,
    count: int,
    notes: list[str] | None = None,
) -> None:
    notes = notes or []
    shown, fps = len(video.select(found, view, count)), view.fps or found.facts.fps
    problems: dict[str, Problem] = {}
    folds: dict[str, Fold] = {name: FOLDS.get(name)() for name in job["folds"]}
    rows: dict[str, list[Rows]] = {name: [] for name in folds}
    samplers: dict[str, Sampler] = {}
    for name, fields in job["samplings"].items():
        try:
            samplers[name] = Sampler(Sampling.model_validate(fields), shown, fps, job.get("sha256", ""))
        except DoesNotApply as error:
            problems[name] = ("skip", str(error))
    clock = _Clock()
    for chunk in video.decode(found, view, limits.chunk_bytes, count, notes):
        clock.lap("decode")
        for name, fold in folds.items():
            if name not in problems:
                problem = _step(fold, chunk, rows[name])
                clock.lap(f"fold:{name}")
                if problem:
                    problems[name] = problem
        for name, sampler in samplers.items():
            windows = sampler.step(chunk)
            clock.lap(f"sample:{name}")
            for number, window in windows:
                wire.send(sock, {"type": "window", "encoder": name, "number": number}, {"window": window})
        wire.send(sock, {"type": "progress", "frames": chunk.start + len(chunk.new)})
        clock.lap("send")
    arrays: wire.Arrays = {}
    for name, fold in folds.items():
        if name not in problems:
            rows[name].append(fold.finish())
            for row, value in _join(rows[name]).items():
                arrays[f"{name}/{row}"] = value
    for name, sampler in samplers.items():
        arrays |= {f"{name}/{row}": value for row, value in sampler.rows().items()}
    clock.lap("decode")
    head = {"type": "done", "problems": problems, "notes": notes, "frames": shown}
    head |= {"seconds": clock.seconds, "peak": _peak_memory()}
    wire.send(sock, head, arrays)


def _peak_memory() -> int:
    """Largest resident size so far, in bytes."""
    try:  # `ru_maxrss` would hold the parent's size at the fork
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class _Clock:
    """Seconds by stage; what passes between two laps belongs to the second."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def _step(fold: Fold, chunk: video.Chunk, rows: list[Rows]) -> Problem | None:
    try:
        rows.append(fold.step(chunk))
    except DoesNotApply as error:
        return ("skip", str(error))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - one fold's fault costs that fold's metrics alone
        return ("failed", f"fold {fold.spec.name}: {type(error).__name__}: {error}")
    return None


def _join(parts: list[Rows]) -> Rows:
    names = {name for part in parts for name in part}
    return {name: np.concatenate([p[name] for p in parts if name in p]) for name in sorted(names)}


_JOBS = {"probe": _probe, "preview": _preview, "extract": _extract}

if __name__ == "__main__":
    main()
