"""What benchmarks share: a run to score again and again, its parts alone, the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals import extractors, generators, video
from evals.decoding.pool import DecoderJob, Pool, default_workers
from evals.decoding.resources import Resources
from evals.decoding.windows import WindowCutter
from evals.encoders.device import Batcher, DeviceQueue
from evals.errors import DoesNotApply
from evals.executors import LocalExecutor, Source
from evals.extract import Cost, Hooks, extract_features
from evals.generate import RunConfig, generate_run
from evals.metrics import suites
from evals.records import Normalization
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.scoring import Metrics, prepare, score_run


def options(about: str | None) -> argparse.ArgumentParser:
    """The arguments that all have."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="clips, as for folder:")
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--metrics", help="ids with commas, instead of a suite")
    parser.add_argument("--weights", action="append", default=[], metavar="ENCODER=PATH")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write everything measured here")
    return parser


def metric_ids(o: argparse.Namespace) -> list[str]:
    return o.metrics.split(",") if o.metrics else list(suites.load(o.suite).metrics)


def weights(o: argparse.Namespace) -> dict[str, Path]:
    return {name: Path(path) for name, _, path in (w.partition("=") for w in o.weights)}


@contextmanager
def copies(folder: Path) -> Iterator[Iterator[RunFolder]]:
    """Runs of a folder's clips without any score, as many as are asked for."""
    with tempfile.TemporaryDirectory() as scratch:
        with Resources() as resources:
            config = RunConfig(generators.create(f"folder:{folder}"), Path(scratch) / "run")
            run = generate_run(config, resources)

        def made() -> Iterator[RunFolder]:
            while True:
                copy = Path(tempfile.mkdtemp(dir=scratch)) / "run"
                shutil.copytree(run.path, copy)
                yield RunFolder(copy)

        yield made()


def paths_of(run: RunFolder) -> list[Path]:
    return [run.video_path(s) for s in run.samples().values() if s.status == "ok"]


def scored(run: RunFolder, metrics: Metrics, resources: Resources) -> float:
    """Seconds of a whole scoring pass: decoding, frame extractors, encoders, feature shards, journal."""
    started = time.perf_counter()
    score_run(run, metrics, None, resources)
    return time.perf_counter() - started


def costs(run: RunFolder, metrics: Metrics, resources: Resources, device: str) -> Cost:
    """What the stages of a pass take, summed over processes."""
    with tempfile.TemporaryDirectory() as scratch:
        samples = [s for s in run.samples().values() if s.status == "ok"]
        sources = [Source(str(s.sha256), run.video_path(s)) for s in samples]
        store = FeatureStore(Path(scratch))
        hooks = Hooks(lambda source, problems: None)
        executor = LocalExecutor(resources, device)
        return extract_features(sources, metrics.prepared, store, Normalization(), executor, hooks)


def decoded(paths: Sequence[Path], pool: Pool) -> float:
    """Seconds to decode all with all workers and nothing else."""
    native = Normalization().model_dump(mode="json")
    fields = {"normalization": native, "extractors": {}, "windows": {}, "sha256": ""}
    started = time.perf_counter()
    for event in pool.run(DecoderJob(path, "extract", None, fields) for path in paths):
        if event.error is not None:
            raise SystemExit(f"{event.job.path}: {event.error}")
    return time.perf_counter() - started


def extracted(paths: Sequence[Path], names: Sequence[str], apart: ProcessPoolExecutor, workers: int) -> float:
    """Seconds of the frame extractors alone, on frames that lie in memory, with all processes."""
    jobs = [(path, tuple(names)) for path in paths]
    return sum(apart.map(extractor_seconds, jobs)) / workers


def processes(workers: int) -> ProcessPoolExecutor:
    """Processes as the decoders are: one thread each."""
    return ProcessPoolExecutor(workers, get_context("spawn"), _one_thread)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def extractor_seconds(job: tuple[Path, tuple[str, ...]]) -> float:
    """Seconds of frame extractors on one video's chunks, decoded before the clock starts."""
    path, names = job
    chunks = list(video.decode(video.probe(path)))
    made = [extractors.create(name) for name in names]
    spent = 0.0
    for chunk in chunks:
        for extractor in made:
            started = time.perf_counter()
            extractor.step(chunk)
            spent += time.perf_counter() - started
    return spent


def windows_of(paths: Sequence[Path], metrics: Metrics) -> dict[str, list[NDArray[np.uint8]]]:
    """Every encoder's windows of all videos, cut and resized."""
    found: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in metrics.prepared.encoders}
    for path in paths:
        opened = video.probe(path)
        cutters = {}
        for name, encoder in metrics.prepared.encoders.items():
            try:
                cutters[name] = WindowCutter(
                    encoder.frames, encoder.resize, opened.facts.frames, opened.facts.fps
                )
            except DoesNotApply:
                continue
        for chunk in video.decode(opened):
            for name, cutter in cutters.items():
                found[name] += [window for _, window in cutter.step(chunk)]
    return found


def encoded(
    windows: dict[str, list[NDArray[np.uint8]]], metrics: Metrics, device: str, rates: dict[str, float]
) -> float:
    """Seconds of the encoders alone, on windows that lie in memory; `rates` gets every one's frames per
    second (of windows of several, all of them count)."""
    with DeviceQueue(device) as queue:
        started = time.perf_counter()
        for name, encoder in metrics.prepared.encoders.items():
            began = time.perf_counter()
            batcher = Batcher(encoder, queue)
            for number, window in enumerate(windows[name]):
                batcher.add(name, 0, number, window)
            batcher.flush()
            for _ in batcher.encoded(wait=True):
                pass
            frames = sum(len(window) for window in windows[name])
            rates[name] = frames / (time.perf_counter() - began)
        return time.perf_counter() - started


def peak_memory(cost: Cost) -> dict[str, int]:
    """Largest resident size of this process and of a decoder, in MiB."""
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // scale
    return {"this_process_mib": parent, "a_decoder_mib": cost.peak >> 20}


def machine(device: str) -> dict[str, Any]:
    """What the figures came from."""
    import torch

    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
    }
    if device.startswith("cuda"):
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in times.items()}


def save(path: Path | None, found: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def chosen(o: argparse.Namespace) -> Metrics:
    return prepare(metric_ids(o), weights(o))
