"""What large runs cost: time and memory of listing, resuming and comparing, against a run of a tenth.

    python -m benchmarks.large [--samples 100000] [--alone] [--steps list resume compare]

A run of so many samples is written as `run` would have left it: tiny clips, features in shards, scores. Each
step then runs in a process of its own, for its peak memory:

    list     `evals.runs.overview.describe`
    resume   `generate_run` and `score_run`, which find that nothing is to be done
    compare  two such runs, loaded and compared

each with the run's index and, called `... from journals`, without it. So many tiny files want a disk: give
one as TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from evals import generators
from evals.compare import compare_scores, load_runs
from evals.decoding.resources import Resources
from evals.generate import RunConfig, generate_run
from evals.metrics.needs import Needs, VideoAndText
from evals.records import Normalization, Request, Sample, VideoFacts, file_sha256
from evals.runs import folder as run_folders
from evals.runs import index, origin
from evals.runs.facts import DecodedFacts, put_facts
from evals.runs.features import ShardWriter
from evals.runs.journal import Journal
from evals.runs.keys import fields_digest, generation_key, metric_digest, text_digest
from evals.runs.overview import describe
from evals.scoring import prepare, score_run

METRICS = ("temporal_flicker", "sharpness")
FRAMES = 8
SHARD = 64  # videos
WITHOUT = " from journals"
STEPS = [name + how for name in ("list", "resume", "compare") for how in ("", WITHOUT)]
FACTS = VideoFacts(width=64, height=48, frames=FRAMES, fps=8.0, duration=1.0, codec="h264",
                   pixel_format="yuv420p")  # fmt: skip


def write(place: Path, samples: int, seed: int) -> None:
    """A scored run of a folder of clips, two seeds a prompt, without decoding anything."""
    clips = place / "clips"
    clips.mkdir(parents=True)
    rows = []
    for i in range(samples):
        (clips / f"{i}.mp4").write_bytes(f"{seed} {i}".encode())
        row = {"path": f"{i}.mp4", "prompt": f"a park, number {i // 2}", "prompt_id": f"p-{i // 2}"}
        rows.append(json.dumps({**row, "seed": i % 2, "category": f"c{i // 2 % 8}"}))
    (clips / "videos.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    generator = generators.create(f"folder:{clips}")
    config = RunConfig(generator, place / "run")
    requests = config.requests()
    run = run_folders.create(config.folder, generator.label, generator.spec, config.settings)
    metrics, native, rng = prepare(METRICS), Normalization(), np.random.default_rng(seed)
    infos = metrics.infos(native)
    needs = Needs(metrics.prepared.specs(), native)
    hashes: list[str] = []

    def made(one: Request) -> dict[str, Any]:
        assert one.clip is not None
        path = one.clip.path.resolve()
        hashes.append(file_sha256(path))
        return Sample(
            key=generation_key(generator.spec, one, generator.identity(one)), seed=one.seed, status="ok",
            text_digest=text_digest(one.prompt), prompt_id=one.prompt.id, sha256=hashes[-1],
            bytes=path.stat().st_size, video=str(path), origin=origin.signed(path), actual=FACTS,
            created="2026-11-30T12:00:00+00:00",
        ).to_json()  # fmt: skip

    def scored() -> Iterator[dict[str, Any]]:
        for one, sha256 in zip(requests, hashes, strict=True):
            yield {
                "prompt_id": one.prompt.id, "seed": one.seed, "sha256": sha256, "normalization": "native",
                "scores": {
                    name: {"status": "ok", "value": float(rng.normal()), "metric_digest": metric_digest(info),
                           "fields_digest": fields_digest(one.prompt, info.reads)}
                    for name, info in infos.items()
                },
            }  # fmt: skip

    with run.writing():
        run.add([(one.prompt, one.seed) for one in requests])
        run.update(metrics={"native": infos}, status="scored")
        with Journal(run.segments.own("samples")) as journal:
            journal.extend(made(one) for one in requests)
        shards = ShardWriter(run.features)
        decoded = DecodedFacts(np.arange(FRAMES) / 8, 8.0, 64, 48)
        for number, sha256 in enumerate(hashes, 1):
            for need in metrics.prepared.of_video:
                array = rng.normal(size=(FRAMES, 4)).astype(np.float32)
                shards.put(needs.key(need, VideoAndText(sha256)), {"row": array})
            put_facts(shards, sha256, native, decoded)
            if number % SHARD == 0:
                shards.commit()
        shards.commit()
        with Journal(run.segments.own("scores")) as journal:
            journal.extend(scored())


def keep_index(place: Path) -> None:
    with run_folders.RunFolder(place / "run").writing() as run:
        run.keep_index()


def step(name: str, places: list[Path]) -> None:
    """One step in this process; prints its seconds and peak memory."""
    if name.endswith(WITHOUT):
        with patch.object(index, "is_available", return_value=False):
            step(name.removesuffix(WITHOUT), places)
        return
    started = time.perf_counter()
    if name == "list":
        assert describe(places[0] / "run")["failed"] == 0
    elif name == "resume":
        with Resources() as resources:
            generator = generators.create(f"folder:{places[0] / 'clips'}")
            run = generate_run(RunConfig(generator, places[0] / "run"), resources)
            assert score_run(run, prepare(METRICS), resources=resources) == 0
    else:
        assert compare_scores(load_runs([place / "run" for place in places])).means
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": round(seconds, 2), "peak MB": round(peak)}))


def measured(scratch: Path, samples: int, steps: Sequence[str]) -> dict[str, Any]:
    places = [scratch / str(samples) / name for name in "ab"]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(write, places, [samples] * 2, range(2)))
        list(pool.map(keep_index, places))
    found = {}
    for name in steps:
        command = [sys.executable, "-m", "benchmarks.large", "--step", name, *map(str, places)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("places", type=Path, nargs="*")
    parser.add_argument("--steps", choices=STEPS, nargs="+", default=STEPS)
    parser.add_argument("--alone", action="store_true", help="without the run of a tenth")
    given = parser.parse_args()
    if given.step:
        step(given.step, given.places)
        return
    sizes = [given.samples] if given.alone else [given.samples // 10, given.samples]
    with tempfile.TemporaryDirectory() as scratch:
        found = {n: measured(Path(scratch), n, given.steps) for n in sizes}
    small, large = found[sizes[0]], found[sizes[-1]]
    ratios = {
        name: {kind: round(large[name][kind] / small[name][kind], 1) for kind in small[name]}
        for name in small
    }
    print(json.dumps({**found, "ratio": ratios}, indent=1))


if __name__ == "__main__":
    main()
