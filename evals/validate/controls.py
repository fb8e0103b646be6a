"""Controls: videos that are worse by construction, made of a run's own clips, to see which metrics say so
there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evals import generators, video
from evals.compare import Rules, RunScores, compare_scores, load_runs
from evals.compare.results import Control, Pair
from evals.compare.rules import ALPHA
from evals.decoding.resources import Progress, Resources
from evals.errors import UsageError, VideoError
from evals.generate import RunConfig, generate_run
from evals.records import MetricInfo, Normalization, PromptSet, Sample, digest
from evals.scoring import prepare, score_run
from evals.validate.degrade import blur, freeze, shuffle
from evals.video import Frames

MOST = 40
"""Clips of the run that are used, the first ones."""
Make = Callable[[Frames, np.random.Generator], Frames]
MADE: dict[str, tuple[Make, int]] = {
    "still": (lambda clip, rng: freeze(clip, 1.0, rng), 12),
    "blurred": (lambda clip, rng: blur(clip, 2.0, rng), 12),
    "CRF 40": (lambda clip, rng: clip, 40),
    "shuffled": (lambda clip, rng: shuffle(clip, 1.0, rng), 12),
}
"""How frames are changed, and the H.264 quality at which they are written: the first frame repeated, a
Gaussian blur of 2 pixels, compression until it smears, all frames in another order."""
MISMATCHED = "other prompts"
"""The clips as they are, each with the prompt of another."""


def controls(
    run: RunScores,
    place: Path,
    weights: Mapping[str, Path],
    resources: Resources,
    progress: Progress,
) -> list[Control]:
    """Make the controls of a run in `place`, score them with its metrics and test each against the run;
    resumes.

    Raises `UsageError` for a run without videos or with too few prompts to tell anything.
    """
    if run.folder is None or not run.videos:
        raise UsageError(f"{run.label}: has no videos to make controls of")
    samples = [run.videos[at] for at in sorted(run.videos)][:MOST]
    names = [name for name, info in run.metrics.items() if info.kind == "video" and info.direction != "none"]
    metrics = prepare(names, weights)
    normalization = Normalization.parse(run.normalization)
    prompts = {sample.prompt_id: run.prompts[sample.prompt_id] for sample in samples}
    found: list[Control] = []
    for name in (*MADE, MISMATCHED):
        folder = place / f"{name.replace(' ', '-')}-{digest([s.sha256 for s in samples])[:8]}"
        write(run, samples, name, folder / "clips")
        wanted = PromptSet(name="controls", prompts=tuple(prompts.values()))
        source = generators.create(f"folder:{folder / 'clips'}")
        made = generate_run(RunConfig(source, folder / "run", wanted), resources, progress)
        score_run(made, metrics, normalization, resources, progress=progress)
        control = load_runs([made.path], normalization)[0]
        pairs = compare_scores([_only(run, control), control], rules=Rules()).pairs
        found += [_outcome(name, pair, run.metrics[pair.metric]) for pair in pairs if pair.metric in names]
    return found


def _only(run: RunScores, control: RunScores) -> RunScores:
    """The run's samples that the control was made of: the others are not missing there."""
    from dataclasses import replace

    keys = set(zip(control.samples["prompt_id"], control.samples["seed"], strict=True))

    def kept(table: Any) -> Any:
        at = zip(table["prompt_id"], table["seed"], strict=True)
        return table[[key in keys for key in at]].reset_index(drop=True)

    return replace(run, samples=kept(run.samples), scores=kept(run.scores))


def _outcome(name: str, pair: Pair, info: MetricInfo) -> Control:
    outcome = "open"
    if pair.p is not None and pair.p <= ALPHA + 1e-12 and pair.difference:
        outcome = "right" if (pair.difference > 0) == (info.direction == "higher") else "wrong"
    return Control.model_validate(
        {"control": name, "metric": pair.metric, "outcome": outcome, "n_prompts": pair.n_prompts}
    )


def write(run: RunScores, samples: Sequence[Sample], name: str, folder: Path) -> None:
    """Write a control's clips with their manifest; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = list(dict.fromkeys(sample.prompt_id for sample in samples))
    others = dict(zip(ids, ids[1:] + ids[:1], strict=True))
    lines = []
    for number, sample in enumerate(samples):
        assert run.folder is not None
        source = run.folder.video_path(sample)
        owner = others[sample.prompt_id] if name == MISMATCHED else sample.prompt_id
        target = folder / f"{number:04d}{source.suffix if name == MISMATCHED else '.mp4'}"
        if not target.exists():
            if name == MISMATCHED:
                shutil.copyfile(source, target)
            elif not _write(source, target, name, number):
                continue  # it has no score either
        prompt = run.prompts[owner]
        row = {"path": target.name, "prompt": prompt.text, "prompt_id": owner, "seed": sample.seed}
        lines.append(json.dumps(row))
    (folder / "videos.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write(source: Path, target: Path, name: str, number: int) -> bool:
    """Write one clip of a control; false where the source cannot be read."""
    make, crf = MADE[name]
    try:
        opened = video.probe(source, video.Limits())
        chunks = [c.new for c in video.decode(opened, Normalization(), 1 << 26)]
    except VideoError:
        return False
    clip = np.concatenate(chunks)
    clip = np.ascontiguousarray(clip[:, : clip.shape[1] // 2 * 2, : clip.shape[2] // 2 * 2])
    video.encode(target, make(clip, np.random.default_rng(number)), opened.facts.fps, "h264", crf)
    return True
