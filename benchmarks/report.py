"""How long a report of many prompts takes to build, to open and to scroll, and what the browser needs for it.

    python -m benchmarks.report [--prompts 1000 --models 6 --seeds 2]

Runs are written as `score` writes them: every sample has a video of its own with features of 48 frames.
Previews are no part of the measure: copies of a few drawn videos lie in `media/` under the names of all. The
page is opened in headless Chromium from the disk. Memory is the proportional set size (Linux) of the page's
process and of the whole browser, and the heap of its script.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evals.compare import compare_scores, load_runs
from evals.decoding.pool import DecoderJob, Pool
from evals.metrics import suites
from evals.metrics.needs import Needs, VideoAndText, recorded_specs
from evals.records import MetricInfo, Need, Normalization, Prompt, Sample, Settings, Spec, VideoFacts, digest
from evals.report import PageOptions, write_report
from evals.report.page.media import MEDIA, SPEC
from evals.runs import folder as run_folders
from evals.runs.features import FeatureStore
from evals.runs.files import hashed_file
from evals.runs.journal import Journal
from evals.runs.keys import fields_digest, metric_digest, text_digest
from evals.scoring import prepare
from evals.video import encode
from tests.browser import browser
from tests.conftest import ball

FRAMES, FPS, DRAWN, SHARD = 48, 16, 24, 250
ARRAYS = {
    "difference": ("mean", "block_max"), "dis": ("magnitude", "warp_error", "visible"), "content": ("hsv",),
    "laplacian": ("variance",), "ssim": ("ssim",),
}  # fmt: skip


def infos() -> list[MetricInfo]:
    """The quick suite's metrics of single videos."""
    chosen = prepare([name for name in suites.load("quick").metrics if "[" not in name or "[dis]" in name])
    return [info for info in chosen.infos(Normalization()).values() if info.kind == "video"]


def sha_of(model: int, prompt: int, seed: int) -> str:
    return hashlib.sha256(f"{model} {prompt} {seed}".encode()).hexdigest()


def write_run(place: Path, metrics: Sequence[MetricInfo], prompts: int, seeds: int, model: int) -> None:
    """A run of a model whose scores lie a little above those of the model before it."""
    rng = np.random.default_rng(model)
    run = run_folders.create(place, f"model-{model}", Spec(name=f"model-{model}"), Settings())
    wanted = [
        Prompt(id=f"prompt-{i:04d}", text=f"A scene, number {i}, in which a dog runs along the water's edge.",
               category=f"category-{i % 12}", tags=(f"tag-{i % 5}",))
        for i in range(prompts)
    ]  # fmt: skip
    facts = VideoFacts(
        width=480,
        height=360,
        frames=FRAMES,
        fps=FPS,
        duration=FRAMES / FPS,
        codec="h264",
        pixel_format="yuv420p",
    )
    specs: dict[Need, Spec] = {}
    for info in metrics:
        specs |= recorded_specs(info)
    needs, store = Needs(specs, Normalization()), FeatureStore(place / "features")
    (place / "features").mkdir(exist_ok=True)
    with (
        run.writing(),
        Journal(place / "samples/main.jsonl") as samples,
        Journal(place / "scores/main.jsonl") as scores,
    ):
        run.add([(prompt, seed) for prompt in wanted for seed in range(seeds)])
        run.update(metrics={"native": {info.id: info for info in metrics}})
        for i, prompt in enumerate(wanted):
            for seed in range(seeds):
                sha256 = sha_of(model, i, seed)
                samples.append(
                    Sample(
                        key="k", text_digest=text_digest(prompt), prompt_id=prompt.id, seed=seed, status="ok",
                        sha256=sha256, video=f"videos/{i}-{seed}.mp4", actual=facts,
                        wall_seconds=1 + model / 10,
                    ).to_json()
                )  # fmt: skip
                for name, arrays in ARRAYS.items():
                    need = Need("frames", name)
                    if need in specs:
                        values = {a: 5 + rng.random(FRAMES - (name != "laplacian")) for a in arrays}
                        store.put(needs.key(need, VideoAndText(sha256)), values)
                drawn = np.clip(rng.normal(0.5 + 0.01 * model, 0.1, len(metrics)), 0, 1)
                scores.append({
                    "schema": run.info.schema_, "prompt_id": prompt.id, "seed": seed, "sha256": sha256,
                    "normalization": "native",
                    "scores": {
                        info.id: {"status": "ok", "value": float(v), "metric_digest": metric_digest(info),
                                  "fields_digest": fields_digest(prompt, info.reads)}
                        for info, v in zip(metrics, drawn, strict=True)
                    },
                })  # fmt: skip
            if i % SHARD == SHARD - 1:
                store.commit()
    store.commit()


def put_previews(out: Path, scratch: Path, pool: Pool, models: int, prompts: int, seeds: int) -> None:
    """A few videos' copies and posters under the names of all."""
    made = []
    for k in range(DRAWN):
        encode(scratch / f"{k}.mp4", list(ball(FRAMES, (360, 480), k)), FPS)
        copy = scratch / f"copy-{k}.mp4"
        job = {"short_side": SPEC["short_side"], "out": str(copy), "stills": {}, "normalization": {},
               "sha256": hashed_file(scratch / f"{k}.mp4").sha256}  # fmt: skip
        pool.ask(DecoderJob(scratch / f"{k}.mp4", "preview", None, job))
        made.append(copy)
    (out / MEDIA).mkdir(parents=True)
    for model in range(models):
        for i in range(prompts):
            for seed in range(seeds):
                name = digest([sha_of(model, i, seed), SPEC])[:20]
                source = made[(7 * model + 3 * i + seed) % DRAWN]
                for suffix in (".mp4", ".jpg"):
                    os.link(source.with_suffix(suffix), out / MEDIA / f"{name}{suffix}")


def build(scratch: Path, prompts: int, models: int, seeds: int) -> tuple[Path, dict[str, Any]]:
    metrics = infos()
    places = [scratch / f"model-{k}" for k in range(models)]
    for k, place in enumerate(places):
        write_run(place, metrics, prompts, seeds, k)
    out = scratch / "report"
    with Pool(2) as pool:
        put_previews(out, scratch, pool, models, prompts, seeds)
        start = time.perf_counter()
        runs = load_runs(places)
        loaded = time.perf_counter()
        found = compare_scores(runs)
        compared = time.perf_counter()
        page = write_report(found, out, pool, PageOptions(videos=None))
        written = time.perf_counter()
    sizes = {name: sum(p.stat().st_size for p in (out / name).iterdir()) for name in ("data", "figures")}
    sizes |= {"page": page.stat().st_size, "rows.js": (out / "data" / "rows.js").stat().st_size}
    return page, {
        "seconds": {"load": loaded - start, "compare": compared - loaded, "report": written - compared,
                    "all": written - start},
        "MB": {name: size / 1e6 for name, size in sizes.items()},
        "peak GB of building": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }  # fmt: skip


SCROLL = """async () => {
  const grid = document.getElementById('videos');
  grid.scrollIntoView();
  await new Promise((done) => setTimeout(done, 500));
  const frames = [];
  let last = performance.now();
  for (let k = 0; k < 240; k += 1) {
    window.scrollBy(0, 120);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""


def memory(root: int) -> dict[int, tuple[str, float]]:
    """Proportional set size in MB, by process below a process, with the kind of browser process it is."""
    parents, found = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
    for pid in parents:
        above = pid
        while above not in (0, 1, root):
            above = parents.get(above, 0)
        if above != root:
            continue
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        size = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        kind = "page" if "--type=renderer" in command else "other" if "--type=" in command else "browser"
        if "chrom" in command:
            found[pid] = (kind, size / 1000)
    return found


def open_page(page: Path) -> dict[str, Any]:
    """What a reader waits for and what the browser needs."""
    with browser() as found:
        tab = found.new_page(viewport={"width": 1400, "height": 900})
        start = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="domcontentloaded")
        first = time.perf_counter()
        while not tab.evaluate("document.getElementById('shown').textContent !== ''"):
            tab.wait_for_timeout(10)
        shown = time.perf_counter()
        frames = sorted(tab.evaluate(SCROLL))
        started = time.perf_counter()
        tab.locator("#filters select").first.select_option("worst")
        while tab.evaluate("document.querySelectorAll('.row').length") == 0:
            tab.wait_for_timeout(5)
        ordered = time.perf_counter()
        heap = tab.evaluate("performance.memory.usedJSHeapSize") / 1e6
        sizes = memory(os.getpid())
        rows = tab.evaluate("document.querySelectorAll('.row').length")
    return {
        "seconds until the answer": first - start,
        "seconds until the grid": shown - start,
        "seconds to reorder": ordered - started,
        "ms a frame while scrolling: median, 95 %, worst": [
            frames[len(frames) // 2], frames[int(0.95 * len(frames))], frames[-1]
        ],
        "rows that exist at a time": rows,
        "MB of the script's heap": heap,
        "MB of the page's process": max(size for kind, size in sizes.values() if kind == "page"),
        "MB of the whole browser": sum(size for _, size in sizes.values()),
    }  # fmt: skip


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 2) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="Leave the report there.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = given.keep or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        page, built = build(place, given.prompts, given.models, given.seeds)
        print(json.dumps(rounded({"build": built, "browser": open_page(page)}), indent=1))


if __name__ == "__main__":
    main()
