"""`validate`: what each metric detects and what it doesn't, measured on clips that are made worse step by
step.

Every clip is degraded at six strengths in each of several ways, written without loss (except for the codec,
which is a control), and scored like any run; `claims.yaml` holds what was claimed beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals import generators, video
from evals.decoding.resources import Progress, Resources
from evals.errors import ConfigError, UsageError
from evals.generate import RunConfig, generate_run
from evals.generators.manifest import MANIFESTS
from evals.prompts.document import Document
from evals.records import Normalization, digest
from evals.runs.folder import RunFolder
from evals.scoring import Metrics, score_run
from evals.validate.degrade import DEGRADATIONS
from evals.validate.detection import Detection, Way, detect

FPS = 10.0
FRAMES, SHORT_SIDE = 16, 128
CLAIMS = Path(__file__).with_name("claims.yaml")
LEAST = 20  # clips: with fewer there is no interval


@dataclass(frozen=True)
class Claims:
    """The strengths of every degradation, and by metric and degradation which way, until which strength."""

    strengths: Mapping[str, tuple[float, ...]]
    ways: Mapping[tuple[str, str], tuple[Way, int]]


def load_claims(path: Path = CLAIMS) -> Claims:
    """Read a file of claims. Raises `ConfigError` naming file and line."""
    document = Document(path, ConfigError)
    data = document.data
    if not isinstance(data, dict) or set(data) != {"strengths", "claims"}:
        document.fail("a file of claims has the keys 'strengths' and 'claims'", ())
    strengths: dict[str, tuple[float, ...]] = {}
    for name, values in data["strengths"].items():
        if name not in DEGRADATIONS:
            document.fail(f"unknown degradation {name!r}", ("strengths", name))
        strengths[name] = tuple(float(v) for v in values)
    ways: dict[tuple[str, str], tuple[Way, int]] = {}
    for metric, claimed in data["claims"].items():
        until = claimed.get("until", {})
        for way in ("falls", "rises"):
            for name in claimed.get(way, []):
                values = strengths.get(name)
                if values is None or float(until.get(name, values[-1])) not in values:
                    document.fail(f"{metric}: {name!r} or its last strength is not above", ("claims", metric))
                last = values.index(float(until.get(name, values[-1]))) + 1
                ways[metric, name] = ("falls" if way == "falls" else "rises", last)
    return Claims(strengths, ways)


def sources(folders: Sequence[Path], most: int) -> list[Path]:
    """The videos of some folders, `most` of each, by name. Raises `UsageError` where there are none."""
    found = []
    for folder in folders:
        here = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mp4", ".mkv", ".webm", ".avi"))
        if not here:
            raise UsageError(f"{folder}: holds no videos")
        found += here[:most]
    return found


def write_clips(paths: Sequence[Path], claims: Claims, only: Sequence[str], folder: Path) -> int:
    """Write every clip untouched and degraded, with a manifest in which a seed is a step of the ladder; what
    is there already stays. Gives the number of steps."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = [("", 0.0), *_steps(claims, only)]
    lines = []
    for number, path in enumerate(paths):
        opened = video.probe(path, video.Limits())
        clip: NDArray[np.uint8] | None = None
        for step, (name, strength) in enumerate(steps):
            key = digest([path.name, opened.facts.frames, name, strength])[:12]
            target = folder / f"{number}-{step}-{key}{'.mp4' if name == 'codec' else '.mkv'}"
            if not target.exists():
                clip = _read(opened) if clip is None else clip
                _write(target, clip, name, strength, int(key[:8], 16))
            row = {"path": target.name, "prompt": f"{path.parent.name} {path.stem}", "seed": step}
            lines.append(json.dumps({**row, "prompt_id": f"clip-{number}"}))
    (folder / MANIFESTS[0]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(steps)


def _steps(claims: Claims, only: Sequence[str]) -> Iterator[tuple[str, float]]:
    for name, values in claims.strengths.items():
        if not only or name in only:
            yield from ((name, v) for v in values)


def _read(opened: video.Video) -> NDArray[np.uint8]:
    """The first frames, small. Even sides, for the codec."""
    side = min(SHORT_SIDE, opened.facts.width, opened.facts.height)
    normalization = Normalization(short_side=side if side >= 16 else None)
    if opened.facts.frames > FRAMES:
        normalization = normalization.model_copy(update={"seconds": FRAMES / opened.facts.fps})
    clip = np.concatenate([c.new for c in video.decode(opened, normalization, 1 << 24)])[:FRAMES]
    return np.ascontiguousarray(clip[:, : clip.shape[1] // 2 * 2, : clip.shape[2] // 2 * 2])


def _write(target: Path, clip: NDArray[np.uint8], name: str, strength: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = DEGRADATIONS[name](clip, strength, rng) if name else clip
    if name == "codec":
        video.encode(target, made, FPS, "h264", int(strength))
    else:
        video.encode(target, made, FPS, "ffv1")


def validate_metrics(
    folders: Sequence[Path],
    metrics: Metrics,
    claims: Claims,
    only: Sequence[str],
    most: int,
    out: Path,
    resources: Resources,
    progress: Progress,
) -> dict[tuple[str, str], Detection]:
    """Degrade, score, and test; resumes in `out`. Gives a detection by metric id and degradation.

    Raises `UsageError` for an unknown degradation or fewer than 20 clips, with which there are no intervals.
    """
    for name in only:
        if name not in claims.strengths:
            raise UsageError(f"--only {name}: there is no such degradation ({', '.join(claims.strengths)})")
    paths = sources(folders, most)
    if len(paths) < LEAST:
        raise UsageError(f"{len(paths)} clips are too few: intervals need {LEAST}")
    # A seed is a step, so another ladder is another run.
    names = [str(path.resolve()) for path in paths]
    ladder = out / f"ladder-{digest([names, list(_steps(claims, only))])[:8]}"
    count = write_clips(paths, claims, only, ladder / "clips")
    config = RunConfig(generators.create(f"folder:{ladder / 'clips'}"), ladder / "run")
    run = generate_run(config, resources, progress)
    score_run(run, metrics, Normalization(), resources, progress=progress)
    scores = RunFolder(run.path).scores("native")
    found: dict[tuple[str, str], Detection] = {}
    for metric_id, metric in metrics.video.items():
        values = np.full((len(paths), count), np.nan)
        for i in range(len(paths)):
            for step in range(count):
                score = scores.get((f"clip-{i}", step), {}).get(metric_id)
                if score is not None and score.value is not None:
                    values[i, step] = score.value
        start = 1
        for name, strengths in claims.strengths.items():
            if only and name not in only:
                continue
            columns = [0, *range(start, start + len(strengths))]
            start += len(strengths)
            way, until = claims.ways.get((metric_id.partition("[")[0], name), (None, len(strengths)))
            part = values[:, columns]
            if np.isfinite(part).all(1).sum() >= 2:
                seed = int(digest([metric_id, name])[:8], 16)
                found[metric_id, name] = detect(part, way, until, metric.about.binary, seed)
    return found


def as_table(found: Mapping[tuple[str, str], Detection], claims: Claims) -> str:
    """Markdown: metrics × degradations. A cell holds which way the mean moves and the first strength at which
    a paired 95 % interval excludes 0; bold where that was claimed and holds, struck out where it was claimed
    and doesn't; `·` where nothing was detected; `~` where the mean doesn't move one way."""
    names = [n for n in claims.strengths if any(n == d for _, d in found)]
    lines = ["| metric | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for metric in dict.fromkeys(m for m, _ in found):
        cells = [_cell(found.get((metric, n)), claims.strengths[n]) for n in names]
        lines.append(f"| `{metric}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(detection: Detection | None, strengths: Sequence[float]) -> str:
    if detection is None:
        return ""
    text = "·"
    if detection.detected_at is not None:
        arrow = {"falls": "↓", "rises": "↑"}[detection.way] if detection.monotone else "~"
        text = f"{arrow} {strengths[detection.detected_at - 1]:g}"
    if detection.claimed:
        share = f" ({detection.agree:.0%})"
        return f"**{text}**{share}" if detection.holds else f"~~{text}~~{share}"
    return text


def as_json(found: Mapping[tuple[str, str], Detection]) -> list[dict[str, Any]]:
    """Every detection with its means."""
    return [{"metric": m, "degradation": d, **vars(v)} for (m, d), v in found.items()]
