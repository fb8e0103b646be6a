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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from evals import video
from evals.decoding import pairs, previews, wire
from evals.decoding.spent import Clock, peak_memory
from evals.decoding.windows import WindowCutter, alike, resized
from evals.errors import DoesNotApply, EvalsError, Reason, SampleError
from evals.extractors import FrameExtractor, create
from evals.records import Normalization
from evals.registry import load_plugin
from evals.runs.features import Features
from evals.runs.files import hashed_file, recorded_file, still_the_same
from evals.video import FrameSelection, Resize

Problem = tuple[str, Reason, str]
"""`skip`, `failed` or `again` (failed, and may be tried again), the reason, the sentence."""
_SELECTION: TypeAdapter[FrameSelection] = TypeAdapter(FrameSelection)
_RESIZE: TypeAdapter[Resize] = TypeAdapter(Resize)


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
            _refuse(sock, "skip", error.reason, str(error))
        except SampleError as error:
            _refuse(sock, "video", error.reason, str(error), again=error.transient)
        except EvalsError as error:
            _refuse(sock, "video", Reason.DECODER_ERROR, str(error))
        except MemoryError:
            message = f"decoding needs more than the limit of {limits.memory / 2**30:.3g} GiB"
            _refuse(sock, "video", Reason.DECODER_MEMORY, message, last=True)
            return  # nobody knows what state is left
        except Exception as error:  # noqa: BLE001 - reported to the pool, which records it
            _refuse(sock, "video", Reason.DECODER_ERROR, f"decoder error: {type(error).__name__}: {error}")


def _refuse(
    sock: socket.socket, kind: str, reason: Reason, message: str, last: bool = False, again: bool = False
) -> None:
    """Say that a job gave nothing, and why; `last` where this process ends, `again` where another try may
    help."""
    head = {"type": "error", "kind": kind, "reason": reason, "message": message}
    wire.send(sock, {**head, "last": last, "again": again})


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
    """A video's facts, and the hash of the bytes that they are of."""
    file = hashed_file(Path(job["path"]))
    found = video.probe(file.path, limits)
    still_the_same(file)
    facts = found.facts.model_dump(mode="json")
    wire.send(sock, {"type": "done", "facts": facts, "sha256": file.sha256, "size": file.size})


def _preview(sock: socket.socket, job: dict[str, Any], limits: video.Limits) -> None:
    """Small copies of a video for a report."""
    file = recorded_file(Path(job["path"]), job["sha256"])
    normalization = Normalization.model_validate(job["normalization"])
    how = (job.get("codec", "preview"), job.get("blur", 0.0))
    previews.make(file.path, limits, job["short_side"], Path(job["out"]), job["stills"], normalization, *how)
    still_the_same(file)
    wire.send(sock, {"type": "done"})


def _extract(sock: socket.socket, job: dict[str, Any], limits: video.Limits) -> None:
    """Features and windows of the bytes with the job's hash, and of no others."""
    file = recorded_file(Path(job["path"]), job["sha256"])
    found = video.probe(file.path, limits)
    normalization = Normalization.model_validate(job["normalization"])
    count = found.facts.frames
    try:
        done = _pass(sock, job, limits, found, normalization, count)
    except video.FrameCountDiffers as error:
        if error.decoded == 0:
            raise
        # Windows were chosen by a wrong count: start over with the right one, and say so in the record.
        wire.send(sock, {"type": "restart"})
        done = _pass(sock, job, limits, found, normalization, error.decoded, [str(error)])
    still_the_same(file)
    wire.send(sock, *done)


def _pass(
    sock: socket.socket,
    job: dict[str, Any],
    limits: video.Limits,
    found: video.Video,
    normalization: Normalization,
    count: int,
    notes: list[str] | None = None,
) -> tuple[dict[str, Any], wire.Arrays]:
    """Decode once: frames of windows are sent as they come, everything else is the last message."""
    notes = notes or []
    kept, fps = video.select(found, normalization, count), normalization.fps or found.facts.fps
    problems: dict[str, Problem] = {}
    extractors: dict[str, FrameExtractor] = {}
    for name, (path, spec) in job["extractors"].items():
        extractors[name] = create(name, Path(path) if path else None)
        if extractors[name].spec.digest != spec:
            message = f"frame extractor {name}: its code or weights have changed; run the command again"
            problems[name] = ("again", Reason.EXTRACTOR_ERROR, message)
    parts: dict[str, list[Features]] = {name: [] for name in extractors}
    cutters: dict[str, WindowCutter] = {}
    for name, (which, resize) in job["windows"].items():
        selection, size = _SELECTION.validate_python(which), _RESIZE.validate_python(resize)
        try:
            cutters[name] = WindowCutter(selection, size, len(kept), fps, job["sha256"])
        except DoesNotApply as error:
            problems[name] = ("skip", error.reason, str(error))
    shape, groups = (found.facts.height, found.facts.width), alike(cutters.items())
    if cutters:
        wire.send(sock, {"type": "plan", "windows": {name: c.windows for name, c in cutters.items()}})
    clock = Clock()
    for chunk in video.decode(found, normalization, limits.chunk_bytes, count, notes):
        clock.lap("decode")
        shape = chunk.frames.shape[1:3]
        for name, extractor in extractors.items():
            if name not in problems:
                problem = _guarded(extractor, partial(extractor.step, chunk), parts[name])
                clock.lap(f"frames:{name}")
                if problem:
                    problems[name] = problem
        for names in groups:
            frames = resized(chunk, [cutters[name] for name in names])
            clock.lap(f"windows:{'+'.join(names)}")
            if frames:
                sent = {"type": "frames", "encoders": names, "indices": [index for index, _ in frames]}
                wire.send(sock, sent, {"frames": np.stack([frame for _, frame in frames])})
        wire.send(sock, {"type": "progress", "frames": chunk.start + len(chunk.new)})
        clock.lap("send")
    arrays: wire.Arrays = {"/times": _times(found, normalization, kept)}
    for name, extractor in extractors.items():
        if name not in problems:
            problem = _guarded(extractor, extractor.finish, parts[name])
            clock.lap(f"frames:{name}")
            if problem:
                problems[name] = problem
                continue
            for array, value in _join(parts[name]).items():
                arrays[f"{name}/{array}"] = value
    for name, cutter in cutters.items():
        arrays |= {f"{name}/{array}": value for array, value in cutter.labels.items()}
    clock.lap("decode")
    head = {"type": "done", "problems": problems, "notes": notes, "frames": len(kept)}
    head |= {"fps": fps, "height": shape[0], "width": shape[1]}
    head |= {"seconds": clock.seconds, "peak": peak_memory()}
    return head, arrays


def _times(found: video.Video, normalization: Normalization, kept: list[int]) -> NDArray[np.float64]:
    """Seconds at which the frames are shown that an extractor gets."""
    if normalization.fps is not None:
        return np.arange(len(kept)) / normalization.fps
    if max(kept) < len(found.times):
        return np.asarray(found.times, np.float64)[kept]
    return np.asarray(kept, np.float64) / found.facts.fps  # more frames came than the container lists


def _guarded(
    extractor: FrameExtractor, made: Callable[[], Features], parts: list[Features]
) -> Problem | None:
    """Add what an extractor makes; its fault is a problem of its own metrics alone."""
    try:
        parts.append(made())
    except DoesNotApply as error:
        return ("skip", error.reason, str(error))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - one extractor's fault costs its own metrics alone
        message = f"frame extractor {extractor.spec.name}: {type(error).__name__}: {error}"
        return ("failed", Reason.EXTRACTOR_ERROR, message)
    return None


def _join(parts: list[Features]) -> Features:
    names = {name for part in parts for name in part}
    return {name: np.concatenate([p[name] for p in parts if name in p]) for name in sorted(names)}


def _pair(sock: socket.socket, job: dict[str, Any], limits: video.Limits) -> None:
    """Features of two videos in step, of the bytes with the job's hashes."""
    files = [recorded_file(Path(job[p]), job[s]) for p, s in (("path", "sha256"), ("other", "other_sha256"))]
    done = pairs.extract(sock, job, limits, files[0].path, files[1].path)
    for file in files:
        still_the_same(file)
    wire.send(sock, *done)


_JOBS = {"probe": _probe, "preview": _preview, "extract": _extract, "pair": _pair}

if __name__ == "__main__":
    main()
