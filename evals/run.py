"""The whole job in a few calls: generate, score, and what a comparison needs beforehand."""

from __future__ import annotations

import re
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import evals.compare as comparing
from evals import generators, rundir
from evals.compare.reference import Clips, Statistics, build
from evals.compare.vectors import Match
from evals.decoding.pool import Job, Pool, default_workers
from evals.encoders import draw
from evals.errors import EvalsWarning, SampleError, UsageError
from evals.generate import Retry, assign, due, generate, grow, narrow
from evals.generators import Generator
from evals.provenance import provenance
from evals.records import Prompt, PromptSet, Sample, Settings, Spec, View, digest, is_regular
from evals.rundir import RunDir
from evals.score import Metrics, prepare, score
from evals.video import Limits


@dataclass(frozen=True)
class Plan:
    """Everything a run needs, decided before any work starts."""

    generator: Generator
    folder: Path
    prompts: PromptSet | None = None
    seeds: Sequence[int] | None = None
    settings: Settings = field(default_factory=Settings)
    prompt_ids: Sequence[str] = ()
    limit: int | None = None
    retry: Retry = "transient"

    def wanted(self) -> list[tuple[Prompt, int]]:
        """The prompts and seeds wanted. Raises `UsageError` for settings that the generator cannot follow."""
        asked = {k for k, v in self.settings.model_dump().items() if v is not None}
        if useless := asked - self.generator.accepts:
            raise UsageError(
                f"{self.generator.label} cannot follow --{', --'.join(sorted(useless))}: its clips exist"
                " already; to score clips alike use --normalize"
            )
        return narrow(self.generator.plan(self.prompts, self.seeds), self.prompt_ids, self.limit)


@dataclass
class Resources:
    """What a machine lends to a run."""

    workers: int | None = None
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)
    plugins: Sequence[Path] = ()

    def pool(self) -> Pool:
        return Pool(self.workers, self.limits, self.plugins)

    def checked_device(self) -> str:
        """The device, once it is known to be usable; `auto` as it is, so that torch is not loaded before
        something is encoded. Raises `UsageError` for a device that isn't there."""
        if self.device == "auto":
            return self.device
        import torch

        try:
            torch.empty(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"--device {self.device}: cannot be used here: {reason:.200}") from None
        return self.device


@dataclass
class Watcher:
    """Callbacks for progress: how many samples and videos there will be, then each as it is through; for a
    scored video whether something failed; and what a folder holds against what is asked for, as a table."""

    generating: Callable[[int], None] = lambda n: None
    sample: Callable[[Sample], None] = lambda s: None
    scoring: Callable[[int], None] = lambda n: None
    scored: Callable[[bool], None] = lambda failed: None
    preflight: Callable[[str], None] = lambda table: None


def generate_run(
    plan: Plan, resources: Resources, watcher: Watcher | None = None
) -> tuple[RunDir, list[Sample]]:
    """Bring a run's samples up to date; gives the run and the current sample of every one wanted."""
    watcher = watcher or Watcher()
    generator = plan.generator
    wanted = plan.wanted()  # every complaint comes before a folder is made
    if (held := getattr(generator, "preflight", None)) is not None:
        watcher.preflight(held.table({p.id for p, _ in wanted}))
    run = rundir.create(plan.folder, generator.label, generator.spec, plan.settings, provenance())
    with run.writing(), resources.pool() as pool:
        tasks = assign(run, generator, wanted, plan.settings)
        _warn_of_leftovers(run, plan)
        grow(run, wanted)
        watcher.generating(sum(due(t, plan.retry) for t in tasks))
        workers = resources.workers or default_workers()
        samples = generate(run, generator, tasks, pool, plan.retry, watcher.sample, workers)
        if run.info.status == "started":
            run.update(status="generated")
    return run, samples


def generate_in_turn(
    plans: Sequence[Plan], resources: Resources, each: int, watcher: Watcher | None = None
) -> list[RunDir]:
    """Several runs, `each` prompts of one after as many of the other: hosted models drift, and what is made
    at the same time compares."""
    left = [list(dict.fromkeys(p.id for p, _ in plan.wanted())) for plan in plans]
    runs: dict[Path, RunDir] = {}
    while any(left):
        for plan, ids in zip(plans, left, strict=True):
            now, ids[:each] = ids[:each], []
            if now:
                part = replace(plan, prompt_ids=now, limit=None)
                runs[plan.folder], _ = generate_run(part, resources, watcher)
    return [runs[plan.folder] for plan in plans]


def _warn_of_leftovers(run: RunDir, plan: Plan) -> None:
    """Videos that were recorded and that a folder no longer lists stay in the run: say so."""
    if not plan.generator.fixed:
        return
    asked = {p.id for p in plan.prompts.prompts} if plan.prompts else None
    prompts = {p.id: p for p in run.info.prompts}
    left = [
        (prompt_id, seed)
        for (prompt_id, seed), sample in run.samples().items()
        if sample.outcome == "ok"
        and (asked is None or prompt_id in asked)
        and plan.generator.identity(prompts[prompt_id], seed) is None
    ]
    if left:
        warnings.warn(
            f"{run.path}: holds {len(left)} samples that {plan.generator.label} does not have now (such as"
            f" {left[0][0]}, seed {left[0][1]}); they stay in it. For a run without them use another --name",
            EvalsWarning,
            stacklevel=2,
        )


def score_run(
    run: RunDir,
    metrics: Metrics,
    view: View,
    resources: Resources,
    retry: Retry = "transient",
    rescore: bool = False,
    watcher: Watcher | None = None,
) -> int:
    """Bring a run's scores up to date; gives the number of videos scored."""
    watcher = watcher or Watcher()
    device = resources.checked_device() if metrics.extractors.encoders else "cpu"
    with run.writing(), resources.pool() as pool:
        written = score(run, metrics, view, pool, device, retry, rescore, watcher.scoring, watcher.scored)
        run.update(status="scored", provenance=provenance())
    return written


def checked_name(name: str) -> str:
    """A run's name, which is a folder's name and nothing else. Raises `UsageError`."""
    if not re.fullmatch(r"\w[\w.+ -]{0,99}", name):
        raise UsageError(
            f"--name {name!r:.120}: a name is 1 to 100 letters, digits, spaces and any of _ . + -"
        )
    return name


def default_name(label: str) -> str:
    """A run's name from its generator's label: `folder:modelA` gives `modelA`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", label.partition(":")[2] or label).strip("-.")
    return name or "run"


def dry_run(plan: Plan, metrics: Metrics | None, view: View | None, resources: Resources) -> dict[str, Any]:
    """What a run would do: counts, bytes, and the time scoring would take, measured on one clip."""
    run = RunDir(plan.folder) if (plan.folder / "run.json").exists() else None
    tasks = assign(run, plan.generator, plan.wanted(), plan.settings)
    to_make = [t for t in tasks if due(t, plan.retry)]
    have = run.scores(str(view)) if run and view else {}
    wanted = set(metrics.video) if metrics else set()
    unscored = [t for t in tasks if wanted - set(have.get(t.id, {}))] if metrics else []
    facts: dict[str, Any] = {
        "run": str(plan.folder),
        "prompts": len({t.request.prompt.id for t in tasks}),
        "samples": len(tasks),
        "samples_to_make": len(to_make),
        "videos_to_score": len(unscored),
        "metrics": len(metrics.video) + len(metrics.sets) if metrics else 0,
    }
    price = getattr(getattr(plan.generator, "options", None), "price", None)
    if price is not None:
        facts["cost"] = round(price * len(to_make), 4)
    with tempfile.TemporaryDirectory() as scratch:
        made = [
            plan.generator.generate(t.request, Path(scratch) / "0.mp4").path
            for t in (unscored if metrics else to_make)
            if plan.generator.fixed  # clips that exist cost nothing to ask for
        ]
        clips = [p for p in made if p is not None and is_regular(p)]
        if not clips:
            return facts
        sizes = {p: p.stat().st_size for p in clips}
        facts["bytes_to_read"] = sum(sizes.values())
        facts["cost"] = 0
        if metrics is not None and view is not None:
            middle = sorted(clips, key=lambda p: sizes[p])[len(clips) // 2]
            fields = {
                "view": view.model_dump(mode="json"),
                "folds": list(metrics.extractors.folds),
                "samplings": {},
            }
            with Pool(1, resources.limits, resources.plugins) as pool:
                pool.ask(Job(middle, "probe"))
                started = time.monotonic()
                try:
                    pool.ask(Job(middle, "extract", None, fields))
                except SampleError:
                    return facts
                each = time.monotonic() - started
            workers = resources.workers or default_workers()
            facts["seconds_for_folds"] = float(f"{each * len(clips) / workers:.2g}")
    return facts


def reference_run(path: Path, cache: Path, chosen: Metrics, view: View, resources: Resources) -> RunDir:
    """A reference as a run: a run folder as it is, a folder of clips through a run made in `cache`."""
    if (path / "run.json").is_file():
        return RunDir(path)
    generator = generators.create(f"folder:{path}", {})
    # Named after what the folder holds now, so that clips which left it never count.
    held = [(p.id, s, generator.identity(p, s)) for p, s in generator.plan(None, None)]
    name = re.sub(r"\W+", "-", path.resolve().name).strip("-") or "folder"
    folder = cache / f"{name}-{digest([generator.spec.to_json(), held])[:8]}"
    run, _ = generate_run(Plan(generator, folder), resources)
    score_run(run, chosen, view, resources)
    return RunDir(folder)


def compare_runs(
    paths: Sequence[Path],
    view: View | None,
    reference: Path | None,
    out: Path,
    weights: Mapping[str, Path],
    resources: Resources,
    match: Match = "none",
) -> comparing.Comparison:
    """Compare run folders. A folder of clips as reference is scored first, into `out`/reference; a file is
    one that `build_reference` wrote."""
    runs = comparing.load(paths, view)
    sets = sorted({n for r in runs for n, info in r.metrics.items() if info.kind == "set"})
    if match != "none" and reference is None:
        raise UsageError("--match needs a --reference")
    if weights and (reference is None or reference.is_file() or (reference / "run.json").is_file()):
        raise UsageError("--weights is only used to score a folder of clips given as --reference")
    if reference is None:
        return comparing.compare(runs)
    if not sets:
        raise UsageError(
            "--reference: no run was scored with a set metric; score them first, such as"
            " `t2v-evals score RUN … --metrics 'fvd[ENCODER]'`"
        )
    if not reference.exists():
        raise UsageError(f"--reference {reference}: no such run or folder")
    if reference.is_file():
        return comparing.compare(runs, Statistics.load(reference), match)
    views = {r.view for r in runs}
    if len(views) > 1:
        raise UsageError("--reference: the runs were scored under different normalisations")
    shared = View.parse(views.pop())
    if (reference / "run.json").is_file():
        return comparing.compare(runs, comparing.load([reference], shared)[0], match)
    run = reference_run(reference, out / "reference", prepare(sets, weights), shared, resources)
    return comparing.compare(runs, comparing.load([run.path], shared)[0], match)


def build_reference(
    source: Path,
    encoder: str,
    out: Path,
    view: View,
    weights: Mapping[str, Path],
    resources: Resources,
    keep: bool = True,
    clips: Clips = "first",
) -> Statistics:
    """Statistics of a folder of clips or of a run's videos, written to `out`; `keep` their features too.
    With `clips` drawn, windows start at a drawn frame, as StyleGAN-V takes real videos."""
    name = f"fvd[{encoder}]"
    chosen = prepare([name], weights)
    drawn_for: Spec | None = None
    if clips == "drawn":
        drawn_for = chosen.extractors.encoders[encoder].spec
        draw(chosen.extractors.encoders[encoder], encoder)
    with tempfile.TemporaryDirectory() as scratch:
        if drawn_for and (source / "run.json").is_file():
            raise UsageError(f"{source}: a run's features are of first frames; --clips drawn takes a folder")
        run = reference_run(source, Path(scratch), chosen, view, resources)
        if run.path.resolve() == source.resolve():
            score_run(run, chosen, view, resources)
        loaded = comparing.load([run.path], view)[0]
        found = build(loaded, encoder, name, chosen.sets[name], keep, drawn_for)
    found.save(out)
    return found
