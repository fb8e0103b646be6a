"""From paths to a comparison: run folders, and a reference that is a run, a folder of clips or a file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals import generators
from evals.compare import Comparison, compare_scores, load_runs
from evals.compare.reference import RunReference, Statistics, build
from evals.compare.rules import Rules
from evals.compare.run_scores import RunScores
from evals.compare.vectors import Match
from evals.decoding.resources import Resources
from evals.encoders import Precision, Start
from evals.errors import UsageError
from evals.generate import RunConfig, generate_run
from evals.records import Normalization, Settings, Spec, digest
from evals.runs.folder import RunFolder
from evals.scoring import Metrics, prepare, score_run


def compare_runs(
    paths: Sequence[Path],
    normalization: Normalization | None = None,
    reference: Path | None = None,
    out: Path | None = None,
    weights: Mapping[str, Path] | None = None,
    resources: Resources | None = None,
    match: Match = "none",
    allow_outside: bool = False,
    rules: Rules | None = None,
) -> Comparison:
    """Compare run folders. `reference` is a run, a file that `build_reference` wrote, or a folder of clips,
    which is scored first, into `out`/reference, at the precision of the runs. `allow_outside` opens files
    outside of a run that another user recorded. Raises `UsageError`."""
    runs = load_runs(paths, normalization, allow_outside)
    if match != "none" and reference is None:
        raise UsageError("--match needs a --reference")
    if weights and (reference is None or reference.is_file() or (reference / "run.json").is_file()):
        raise UsageError("--weights is only used to score folders of clips")
    if reference is None:
        return compare_scores(runs, rules=rules)
    names = sorted({n for r in runs for n, info in r.metrics.items() if info.kind == "distribution"})
    if not names:
        raise UsageError(
            "--reference: no run was scored with a distribution metric; score them first, such as"
            " `t2v-evals score RUN … --metrics 'fvd[ENCODER]'`"
        )
    if not reference.exists():
        raise UsageError(f"--reference {reference}: no such run or folder")
    if reference.is_file():
        return compare_scores(runs, Statistics.load(reference), match, rules)
    shared = {r.normalization for r in runs}
    if len(shared) > 1:
        raise UsageError("--reference: the runs were scored under different normalizations")
    normalization = Normalization.parse(shared.pop())
    if (reference / "run.json").is_file():
        return compare_scores(runs, load_runs([reference], normalization, allow_outside)[0], match, rules)
    if out is None:
        raise UsageError("a folder of clips as reference needs a place to be scored in: give `out`")
    chosen = prepare(names, weights, _precision(runs))
    run = _reference_run(reference, out / "reference", chosen, normalization, resources)
    return compare_scores(runs, load_runs([run.path], normalization)[0], match, rules)


def open_reference(
    path: Path | None, normalization: str, allow_outside: bool = False
) -> RunReference | Statistics | None:
    """A run or a file of statistics to measure distances to. Raises `UsageError` for anything else."""
    if path is None:
        return None
    if path.is_file():
        return Statistics.load(path)
    if (path / "run.json").is_file():
        return RunReference(load_runs([path], Normalization.parse(normalization), allow_outside)[0])
    raise UsageError(f"--reference {path}: is neither a run nor a file of statistics")


def _precision(runs: Sequence[RunScores]) -> Precision:
    """That of the runs' encoders: a reference must be encoded as they were."""
    found = {
        spec.params.get("precision", "fp32")
        for run in runs
        for info in run.metrics.values()
        if info.kind == "distribution"
        for spec in info.extractors.values()
    }
    if len(found) > 1:
        raise UsageError("--reference: the runs were encoded at different precisions")
    return "bf16" if found == {"bf16"} else "fp32"


def _reference_run(
    path: Path, cache: Path, chosen: Metrics, normalization: Normalization, resources: Resources | None
) -> RunFolder:
    """A folder of clips as a run, made and scored in `cache`."""
    generator = generators.create(f"folder:{path}")
    # Named after what the folder holds now, so that clips which left it never count.
    requests = generator.plan(None, None, Settings())
    held = [(r.prompt.id, r.seed, generator.identity(r)) for r in requests]
    name = re.sub(r"\W+", "-", path.resolve().name).strip("-") or "folder"
    place = cache / f"{name}-{digest([generator.spec.to_json(), held])[:8]}"
    score_run(generate_run(RunConfig(generator, place), resources), chosen, normalization, resources)
    return RunFolder(place)


def build_reference(
    source: Path,
    encoder: str,
    out: Path,
    normalization: Normalization | None = None,
    weights: Mapping[str, Path] | None = None,
    resources: Resources | None = None,
    keep: bool = True,
    clips: Start = "first",
    precision: Precision = "fp32",
    allow_outside: bool = False,
) -> Statistics:
    """Statistics of a folder of clips or of a run's videos, written to `out`; `keep` their features too.

    With `clips="random"` every video gives a random clip, as StyleGAN-V takes real videos. Raises
    `UsageError` for an encoder of whole videos, or for a run, whose features are of first frames.
    """
    normalization = normalization or Normalization()
    name = f"fvd[{encoder}]"
    chosen = prepare([name], weights, precision, clips)
    random_for: Spec | None = None
    if clips == "random":
        if (source / "run.json").is_file():
            raise UsageError(f"{source}: a run's features are of first frames; --clips random takes a folder")
        random_for = prepare([name], weights, precision).prepared.encoders[encoder].spec
    with tempfile.TemporaryDirectory() as scratch:
        if (source / "run.json").is_file():
            run = RunFolder(source, allow_outside)
            score_run(run, chosen, normalization, resources)
        else:
            run = _reference_run(source, Path(scratch), chosen, normalization, resources)
        loaded = load_runs([run.path], normalization)[0]
        found = build(loaded, encoder, name, chosen.distribution[name], keep, random_for)
    found.save(out)
    return found
