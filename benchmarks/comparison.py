"""How long a comparison takes: statistics alone, and the command on runs with a million score rows.

    python -m benchmarks.comparison [--models 6 --prompts 1000 --metrics 20] [--rows 1000000]

Scores are drawn at random. Statistics: `compare_scores` in one process. Rows: two runs on the disk, as
`score` writes them, through `load_runs`, `compare_scores` and `write_report`. Peak memory is that of the
process.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from evals.compare import RunScores, compare_scores, load_runs
from evals.records import ASPECTS, MetricInfo, Prompt, Sample, Settings, Spec, VideoFacts
from evals.report import write_report
from evals.runs import folder as run_folders
from evals.runs.journal import Journal
from evals.runs.keys import fields_digest, metric_digest, text_digest


def infos(count: int) -> list[MetricInfo]:
    return [
        MetricInfo(
            id=f"m{j}", spec=Spec(name=f"m{j}"), extractors={}, direction="higher", aspect=ASPECTS[j % 4]
        )
        for j in range(count)
    ]


def in_memory(models: int, prompts: int, metrics: int) -> float:
    """Seconds for the statistics of models on the same prompts, one seed each."""
    chosen, rng = infos(metrics), np.random.default_rng(0)
    content = rng.normal(size=(prompts, metrics))
    runs = []
    for k in range(models):
        values = content + rng.normal(0.02 * k, 0.7, content.shape)
        table = pd.DataFrame(values, columns=[info.id for info in chosen])
        table["prompt_id"] = [f"p{i}" for i in range(prompts)]
        table["category"] = [f"c{i % 8}" for i in range(prompts)]
        runs.append(RunScores.of_table(f"r{k}", table, chosen))
    start = time.perf_counter()
    compare_scores(runs)
    return time.perf_counter() - start


def write_run(folder: Path, samples: int, metrics: int, seed: int) -> None:
    """A run folder with two seeds a prompt, with the records that a real one has."""
    chosen, rng = infos(metrics), np.random.default_rng(seed)
    run = run_folders.create(folder, f"folder:{folder.name}", Spec(name=folder.name), Settings())
    prompts = [Prompt(id=f"p{i}", text=f"text {i}", category=f"c{i % 8}") for i in range(samples // 2)]
    facts = VideoFacts(
        width=64, height=48, frames=16, fps=8.0, duration=2.0, codec="h264", pixel_format="yuv420p"
    )
    digests = {info.id: metric_digest(info) for info in chosen}
    with (
        run.writing(),
        Journal(folder / "samples/main.jsonl") as made,
        Journal(folder / "scores/main.jsonl") as scores,
    ):
        run.add([(prompt, s) for prompt in prompts for s in range(2)])
        run.update(metrics={"native": {info.id: info for info in chosen}})
        for i, prompt in enumerate(prompts):
            fields = fields_digest(prompt, ())
            for s in range(2):
                sha256 = f"{seed:02x}{i:061x}{s}"
                made.append(
                    Sample(
                        key="k", text_digest=text_digest(prompt), prompt_id=prompt.id, seed=s, status="ok",
                        sha256=sha256, video="v.mp4", actual=facts,
                    ).to_json()
                )  # fmt: skip
                values = rng.normal(size=metrics)
                scores.append({
                    "schema": run.info.schema_, "prompt_id": prompt.id, "seed": s, "sha256": sha256,
                    "normalization": "native",
                    "scores": {
                        info.id: {"status": "ok", "value": float(v), "metric_digest": digests[info.id],
                                  "fields_digest": fields}
                        for info, v in zip(chosen, values, strict=True)
                    },
                })  # fmt: skip


def on_disk(rows: int, metrics: int) -> dict[str, float]:
    """Seconds by step, for two runs with so many score rows together."""
    samples = rows // metrics // 2
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / name for name in "ab"]
        for seed, path in enumerate(paths):
            write_run(path, samples, metrics, seed)
        start = time.perf_counter()
        runs = load_runs(paths)
        loaded = time.perf_counter()
        found = compare_scores(runs)
        compared = time.perf_counter()
        write_report(found, Path(scratch) / "report")
        end = time.perf_counter()
    return {
        "load": loaded - start,
        "compare": compared - loaded,
        "report": end - compared,
        "all": end - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    found: dict[str, object] = {
        f"{given.models} models x {given.prompts} prompts x {given.metrics} metrics": round(
            in_memory(given.models, given.prompts, given.metrics), 1
        )
    }
    seconds = on_disk(given.rows, given.metrics)
    found[f"{given.rows} rows"] = {name: round(value, 1) for name, value in seconds.items()}
    found["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
