"""A gate from Python: generate what a baseline asks for, score it, check it. The pytest plugin stands on
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals import generators
from evals.decoding.resources import Resources
from evals.errors import UsageError
from evals.gate import spending
from evals.gate.check import Options, Require, check
from evals.gate.opening import Opened, fidelity_metrics, open_baseline, scored_candidate
from evals.gate.records import GateResult
from evals.generate import RunConfig, generate_run
from evals.generators.base import Generator
from evals.generators.callables import InProcess
from evals.records import PromptSet
from evals.runs.folder import RunFolder

Place = str | Path
Candidate = str | Path | Generator | Callable[..., Any]


@dataclass(frozen=True)
class Check:
    """A result with what it is about: the baseline, and the candidate's run."""

    result: GateResult
    opened: Opened = field(repr=False)
    run: RunFolder = field(repr=False)


def gate_check(
    baseline: Place,
    candidate: Candidate,
    *,
    require: Require = "auto",
    out: Place | None = None,
    options: Mapping[str, str] | None = None,
    under_test: Sequence[str] = (),
    platform: Mapping[str, str] | None = None,
    weights: Mapping[str, Place] | None = None,
    looks: bool = False,
    device: str = "auto",
) -> Check:
    """Check a candidate against a baseline file (or a run).

    `candidate` is a run's folder, a generator's name (`openai-videos:wan@http://127.0.0.1:8000/v1`, with its
    `options`), a generator, or a function of `prompt` and `seed` that returns frames or a file's path: these
    make the baseline's prompts and seeds in `out`. With `looks`, they begin with one seed a prompt, and take
    2 and then 4 as long as the verdict is inconclusive, at a third of the level each.

    Raises `EvalsError` as the command does.
    """
    place = Path(baseline)
    opened = open_baseline(place)
    paths = {name: Path(path) for name, path in (weights or {}).items()}
    wanted = require != "quality" and bool(opened.clips)
    pairs = fidelity_metrics(opened.baseline, None, paths) if wanted else None
    made = _generator(candidate, options or {})
    if made is None and looks:
        raise UsageError("looks: a run has all its seeds already; give a generator or a function")
    seeds = sorted({sample.seed for sample in opened.baseline.samples})
    steps: list[int | None] = [None]
    if looks:
        steps = [number for number, count in enumerate(spending.LOOKS, 1) if count <= len(seeds)]
    with Resources(device=device) as resources:
        for look in steps:
            if made is None:
                path = Path(str(candidate))
            else:
                if out is None:
                    raise UsageError("out: a generator's videos need a folder to go to")
                path = Path(out)
                used = seeds if look is None else spending.seeds_at(look, seeds)
                _generate(made, path, opened, used, resources)
            scored = scored_candidate(path, opened.baseline, paths, resources)
            how = Options(require, tuple(under_test), dict(platform or {}), look)
            result = check(
                opened.baseline, opened.place, scored, pairs, how, None, resources, None, opened.clips
            )
            if result.verdict != "inconclusive":
                break
    return Check(result, opened, RunFolder(path))


def _generator(candidate: Candidate, options: Mapping[str, str]) -> Generator | None:
    """What makes the candidate's videos; None for a run, which has them."""
    if isinstance(candidate, Generator):
        return candidate
    if isinstance(candidate, Path) or (isinstance(candidate, str) and Path(candidate).is_dir()):
        if (Path(candidate) / "run.json").is_file():
            return None
        return generators.create(f"folder:{candidate}", dict(options))
    if isinstance(candidate, str):
        return generators.create(candidate, dict(options))
    return InProcess(candidate)


def _generate(
    generator: Generator, place: Path, opened: Opened, seeds: Sequence[int], resources: Resources
) -> None:
    """The baseline's prompts with these seeds, under its settings as far as the generator follows any."""
    known = opened.baseline
    prompts = PromptSet(name="gate", prompts=known.prompts)
    asked = {k: v for k, v in known.settings.model_dump().items() if k in generator.accepts}
    settings = type(known.settings)(**asked)
    generate_run(RunConfig(generator, place, prompts, list(seeds), settings), resources)
