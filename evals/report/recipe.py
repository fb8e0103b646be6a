"""The reproduction card: all that a second party needs to make these videos and numbers again, and what
differs between two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from evals.compare import Comparison, RunScores
from evals.compare.flips import EXACT_UP_TO, FLIPS
from evals.compare.results import without_folders
from evals.compare.rules import ALPHA, MARGIN
from evals.records import digest
from evals.runs.secrets import redacted

SCHEMA = 1
OF_A_VIDEO = ("sent", "peak_memory", "seconds", "stderr")
"""What generators report of each single video: too many values for a card, or none that shapes the video."""
VALUES = 4  # different ones of a detail that a card lists


def recipe(comparison: Comparison) -> dict[str, Any]:
    """The contents of `recipe.json`."""
    made = {
        "schema": SCHEMA,
        "normalization": comparison.normalization,
        "runs": {run.label: _run(run) for run in comparison.sources},
        "statistics": {
            "baseline": comparison.baseline,
            "family": comparison.family,
            "level": ALPHA,
            "margin": f"{MARGIN} standard deviations between prompts, unless a metric has its own",
            "test": f"sign flips over prompts: exact up to {EXACT_UP_TO}, else {FLIPS} flips; Holm",
        },
        "references": sorted({d.reference for d in comparison.distributions}),
    }
    found: dict[str, Any] = _portable(made)
    return found


def _run(run: RunScores) -> dict[str, Any]:
    found: dict[str, Any] = {"generator": {"label": run.generator}}
    if run.folder is not None:
        info = run.folder.info
        found["generator"] |= {"name": info.generator.name, "version": info.generator.version}
        found["generator"]["params"] = info.generator.params
        found["settings"] = {k: v for k, v in info.settings.model_dump().items() if v is not None}
        found["generator"]["reported"] = _reported(run)
    found["prompts"] = {
        "count": run.samples["prompt_id"].nunique(),
        "digest": digest(sorted((p.id, digest(p.to_json())) for p in run.prompts.values())),
        "expansion": _expansion(run),
        "seeds": _seeds(run),
    }
    found["metrics"] = {
        name: {
            "version": info.spec.version, "params": info.spec.params,
            "extractors": {need: {"version": s.version, **s.params} for need, s in info.extractors.items()},
        }
        for name, info in run.metrics.items()
    }  # fmt: skip
    stages = (("generated", run.generated), ("scored", run.scored))
    for stage, made in stages:
        if made is not None:
            found[stage] = {"versions": made.versions, "revision": made.revision, "hardware": made.hardware}
    return found


def _reported(run: RunScores) -> dict[str, Any]:
    """What the generator said of the videos beyond what was asked, such as a model's version or its
    engine: its values with how many videos have each."""
    counts: dict[str, Counter[str]] = {}
    for sample in run.videos.values():
        for key, value in sample.details.items():
            if key not in OF_A_VIDEO and isinstance(value, str | int | float | bool):
                counts.setdefault(key, Counter())[str(value)] += 1
    return {key: dict(sorted(c.items())) for key, c in sorted(counts.items()) if len(c) <= VALUES}


def _expansion(run: RunScores) -> dict[str, Any] | None:
    """How many videos were made from rewritten prompts, and those words by digest."""
    sent = sorted({(at[0], str(s.details["sent"])) for at, s in run.videos.items() if "sent" in s.details})
    return {"prompts": len(sent), "digest": digest(sent)} if sent else None


def _seeds(run: RunScores) -> str:
    """The seed rule in words, or the digest of all seeds where there is no rule."""
    by_prompt = run.samples.groupby("prompt_id", sort=False)["seed"].apply(
        lambda s: tuple(sorted(map(int, s)))
    )
    kinds = sorted(set(by_prompt))
    if len(kinds) == 1:
        seeds = kinds[0]
        if len(seeds) > 1 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
            return f"{seeds[0]} to {seeds[-1]} for every prompt"
        return f"{', '.join(map(str, seeds))} for every prompt"
    return f"by prompt: digest {digest(sorted((str(p), list(s)) for p, s in by_prompt.items()))}"


def _portable(value: Any) -> Any:
    """Without folders of this machine and without keys."""
    if isinstance(value, dict):
        return {without_folders(str(k)): _portable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(v) for v in value]
    return without_folders(redacted(value)) if isinstance(value, str) else value


@dataclass(frozen=True)
class Difference:
    """Something that is not alike in two recipes: its place, and what stands there; None is nothing."""

    place: str
    a: Any
    b: Any


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[Difference]:
    """What differs between the recipes of two runs. A part that only one has is said once."""
    return list(_different("", a, b))


def _different(place: str, a: Any, b: Any) -> Iterator[Difference]:
    if a == b:
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys((*a, *b)):
            yield from _different(f"{place} › {key}" if place else str(key), a.get(key), b.get(key))
        return
    yield Difference(place, a, b)


def explained(comparison: Comparison) -> list[str]:
    """A line for everything that differs between the recipes of each run and the first (or the
    baseline's)."""
    runs: dict[str, dict[str, Any]] = recipe(comparison)["runs"]
    labels = list(runs)
    base = comparison.baseline if comparison.baseline in runs else labels[0]
    lines = []
    for other in labels:
        if other == base:
            continue
        found = differences(runs[base], runs[other])
        lines.append(
            f"{base} and {other} differ in:" if found else f"{base} and {other} have the same recipe."
        )
        lines += [f"  {one.place}: {shown(one.a)} | {shown(one.b)}" for one in found]
    return lines


def shown(value: Any) -> str:
    """A value of a recipe as a short text."""
    if value is None:
        return "–"
    if isinstance(value, dict):
        text = ", ".join(f"{k} {shown(v)}" for k, v in value.items())
    elif isinstance(value, list):
        text = ", ".join(map(shown, value))
    else:
        text = str(value)
    return text if len(text) <= 160 else f"{text[:159]}…"


def lines_of(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """The card as a table: a name, and a text for each run."""
    runs: list[dict[str, Any]] = list(recipe(comparison)["runs"].values())

    def each(*place: str) -> list[str]:
        texts = []
        for run in runs:
            value: Any = run
            for key in place:
                value = value.get(key) if isinstance(value, dict) else None
            texts.append(shown(value))
        return texts

    lines = [
        ("generator", each("generator", "label")),
        ("its parameters", each("generator", "params")),
        ("it reports", each("generator", "reported")),
        ("settings", each("settings")),
        ("prompts", each("prompts", "count")),
        ("prompts' digest", each("prompts", "digest")),
        ("rewritten or translated prompts", each("prompts", "expansion")),
        ("seeds", each("prompts", "seeds")),
        ("generated on", each("generated", "hardware")),
        ("generated with", each("generated", "versions")),
        ("scored on", each("scored", "hardware")),
        ("scored with", each("scored", "versions")),
        ("weights", [_weights(run) for run in runs]),
    ]
    return [(name, texts) for name, texts in lines if any(text not in ("–", "") for text in texts)]


def _weights(run: dict[str, Any]) -> str:
    """SHA-256 of every weight file that shaped the scores, shortened; recipe.json has them whole."""
    found: dict[str, str] = {}
    for metric in run["metrics"].values():
        for need, params in metric["extractors"].items():
            for key, value in params.items():
                if key.endswith("sha256") and isinstance(value, str):
                    found[need.partition(":")[2]] = value[:12]
    return ", ".join(f"{name} {sha}…" for name, sha in sorted(found.items()))
