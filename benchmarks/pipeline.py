"""A scoring pass against its parts alone, stage by stage: `python -m benchmarks.pipeline FOLDER`.

FOLDER holds clips. Every round times, one after the other and each with all cores: decoding alone, the frame
extractors alone on frames in memory, the encoders alone on windows in memory, and the whole pass with its
shards and journal. Decoder processes are started, and files and networks loaded, before the clock runs.
Prints medians; `ratio` is the median over rounds of the whole against the parts' sum, and on a GPU also
against the slower of (decoding and frame extractors) and encoders."""

from __future__ import annotations

import statistics

from benchmarks.harness import (
    chosen,
    copies,
    costs,
    decoded,
    encoded,
    extracted,
    machine,
    medians,
    options,
    paths_of,
    peak_memory,
    processes,
    save,
    scored,
    windows_of,
)
from evals.decoding.resources import Resources


def main() -> None:
    o = options(__doc__).parse_args()
    metrics = chosen(o)
    names = list(metrics.prepared.frames)
    times: dict[str, list[float]] = {name: [] for name in ("decode", "frames", "encode", "whole")}
    rates: dict[str, float] = {}
    resources = Resources(o.workers, o.device)
    with copies(o.folder) as runs, resources, processes(o.workers) as apart:
        first = next(runs)
        paths = paths_of(first)
        stages = costs(first, metrics, resources, o.device)  # also starts, loads and caches everything
        windows = windows_of(paths, metrics)
        extracted(paths, names, apart, o.workers)
        for _ in range(o.rounds):
            times["decode"].append(decoded(paths, resources.pool))
            times["frames"].append(extracted(paths, names, apart, o.workers))
            times["encode"].append(encoded(windows, metrics, o.device, rates))
            times["whole"].append(scored(next(runs), metrics, resources))
    rounds = list(zip(*times.values(), strict=True))
    ratio = statistics.median(w / (d + f + e) for d, f, e, w in rounds)
    slower = statistics.median(w / max(d + f, e) for d, f, e, w in rounds)
    middle = medians(times)
    found = {
        "machine": {**machine(o.device), "workers": o.workers},
        "metrics": [*metrics.video, *metrics.distribution],
        "videos": stages.videos,
        "frames": stages.frames,
        "seconds": times,
        "median_seconds": middle,
        "encoder_frames_per_second": rates,
        "ratio_to_sum_of_parts": ratio,
        "ratio_to_slower_part": slower,
        "videos_per_second": stages.videos / middle["whole"],
        "frames_per_second": stages.frames / middle["whole"],
        "stage_seconds": stages.seconds,
        "peak_memory": peak_memory(stages),
    }
    save(o.json, found)
    print(f"{stages.videos} videos, {stages.frames} frames, {o.workers} workers, {o.device}")
    for name, value in middle.items():
        print(f"{name:12s} {value:8.2f} s")
    print(f"whole / (decode + frames + encode)      {ratio:.2f}")
    print(f"whole / max(decode + frames, encode)    {slower:.2f}")
    speed = stages.videos / middle["whole"], stages.frames / middle["whole"]
    print(f"{speed[0]:.1f} videos/s, {speed[1]:.0f} frames/s; peak memory {peak_memory(stages)}")
    print(f"stages: {stages}")
    for name, rate in rates.items():
        print(f"{name:32s} {rate:8.1f} frames/s")


if __name__ == "__main__":
    main()
