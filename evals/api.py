"""Two lines from anywhere: folders of clips to values and verdicts, without a command line.

Whole evaluations in a process of one's own stand on the same stages (`evals.generate`, `evals.scoring`,
`evals.compare`); these functions put them together with the usual settings.
"""

from __future__ import annotations

import html
import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from evals import generators, prompts
from evals.compare import Comparison, Rules
from evals.compare.results import Caution
from evals.compare.runs import compare_runs
from evals.decoding.resources import Resources
from evals.errors import EvalsError, MetricError, UsageError
from evals.gate import spending
from evals.gate.check import Options, Require, check
from evals.gate.opening import Opened, fidelity_metrics, open_baseline, scored_candidate
from evals.gate.records import GateResult
from evals.generate import RunConfig, generate_run
from evals.generators.base import Generator
from evals.generators.callables import InProcess
from evals.metrics import suites
from evals.metrics.base import SetValue
from evals.records import ALL, Normalization, PromptSet
from evals.report import PageOptions, terminal, words, write_report
from evals.runs.folder import RunFolder, set_aside
from evals.runs.naming import checked_name, default_name
from evals.scoring import prepare, score_run

Place = str | Path
Candidate = str | Path | Generator | Callable[..., Any]


@dataclass(frozen=True)
class Result:
    """What an evaluation found. `scores` has a row per sample and metric, `summary` a row per metric and a
    column per model, `pairs` a row per metric and pair of models; `comparison` holds all of it as typed
    records."""

    comparison: Comparison

    @property
    def scores(self) -> pd.DataFrame:
        return self.comparison.scores

    @property
    def summary(self) -> pd.DataFrame:
        """Means over all prompts."""
        means = self.comparison.frame("means")
        means = means[means["category"] == ALL]
        table = means.pivot(index="metric", columns="run", values="mean")
        order = [name for name in self.comparison.metrics if name in table.index]
        return table.loc[order, self.comparison.labels]

    @property
    def pairs(self) -> pd.DataFrame:
        return self.comparison.frame("pairs")

    def report(
        self, path: Place, videos: int | None = 0, force: bool = False, *, figures: bool = True,
        portable: bool = False, single_file: bool = False,
    ) -> Path:  # fmt: skip
        """Write the page, tables and figures into a folder; gives the page's path.

        `videos` is how many prompts' clips it shows, the most telling first; None shows all. `portable`
        copies the original clips, too; `single_file` puts figures and clips into the page itself.
        """
        options = PageOptions(videos, figures, portable, single_file)
        if videos == 0:
            return write_report(self.comparison, Path(path), options=options, force=force)
        with Resources() as resources:
            return write_report(self.comparison, Path(path), resources.pool, options, force)

    def __repr__(self) -> str:
        return terminal.render(self.comparison)

    def _repr_html_(self) -> str:
        """For notebooks: the answer, the table, a sentence per model."""
        said = [words.answer(self.comparison), *words.sentences(self.comparison)]
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in said if line)
        return f"{self.summary.to_html(float_format='{:.4g}'.format, na_rep='–')}{lines}"


def evaluate(
    clips: Place | Mapping[str, Place],
    suite: str = "quick",
    *,
    metrics: Sequence[str] | None = None,
    prompts: str | Path | PromptSet | None = None,
    reference: Place | None = None,
    baseline: str | None = None,
    weights: Mapping[str, Place] | None = None,
    normalize: str = "native",
    out: Place | None = None,
    device: str = "auto",
) -> Result:
    """Score a folder of clips, or several by model name, and compare them.

    A folder has a manifest, is a run, is laid out for `prompts`, or holds plain clips, which pair by file
    name (`folder:` in docs/generators). `metrics` instead of a `suite`; `reference` for distribution metrics:
    a folder, run or file of statistics; `baseline` names the model that all others are compared with. With
    `out` runs are kept there and the next call goes on from them; without, they last as long as the result.

    Raises `EvalsError` as the commands do.
    """
    folders = dict(clips) if isinstance(clips, Mapping) else {default_name(f":{Path(clips).name}"): clips}
    if not folders:
        raise UsageError("there is nothing to evaluate: give a folder, or folders by name")
    if baseline is not None and baseline not in folders:
        raise UsageError(f"baseline {baseline!r}: no such model among {', '.join(folders)}")
    place = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="t2v-evals-"))
    try:
        chosen = prepare(
            list(metrics) if metrics is not None else list(suites.load(suite).metrics),
            {name: Path(path) for name, path in (weights or {}).items()},
        )
        normalization = Normalization.parse(normalize)
        with Resources(device=device) as resources:
            runs = [
                _run_of(checked_name(name), Path(path), place, _prompt_set(prompts), resources)
                for name, path in folders.items()
            ]
            for run in runs:
                score_run(run, chosen, normalization, resources)
            found = compare_runs(
                [run.path for run in runs],
                normalization,
                Path(reference) if reference is not None else None,
                place,
                None,
                resources,
                rules=Rules(baseline=baseline),
            )
    except BaseException:
        if out is None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    result = Result(found)
    if out is None:  # videos and features are there as long as the result is
        weakref.finalize(result, shutil.rmtree, place, ignore_errors=True)
    return result


def score(
    videos: Sequence[Place],
    metrics: Sequence[str] = ("temporal_quality[dis]", "temporal_flicker", "sharpness"),
    *,
    prompts: Sequence[str] | None = None,
    weights: Mapping[str, Place] | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """Scores of single videos: a row per file, in order, a column per metric; NaN where there is none, with
    the reasons in the column `problems`. `prompts` are the words of each video, for metrics that read them.

    Raises `UsageError` for another number of prompts or a distribution metric, and what `evaluate` raises.
    """
    paths = [Path(video) for video in videos]
    if not paths:
        raise UsageError("there is nothing to score: give one video or more")
    if prompts is not None and len(prompts) != len(paths):
        raise UsageError(f"{len(paths)} videos have {len(prompts)} prompts; there is one for each")
    chosen = prepare(list(metrics), {name: Path(path) for name, path in (weights or {}).items()})
    if chosen.distribution:
        raise UsageError(f"{next(iter(chosen.distribution))} is of sets of videos: see evals.evaluate")
    with tempfile.TemporaryDirectory(prefix="t2v-evals-") as folder, Resources(device=device) as resources:
        _link(paths, prompts, Path(folder) / "clips")
        source = f"folder:{Path(folder) / 'clips'}"
        generator = generators.create(source, {"follow_symlinks": "true"})
        run = generate_run(RunConfig(generator, Path(folder) / "run"), resources)
        score_run(run, chosen, Normalization(), resources)
        found, samples = run.scores("native"), run.samples()
    rows = []
    for number, path in enumerate(paths):
        at = next((key for key in samples if key[0] == _id(number)), None)
        scores = found.get(at, {}) if at else {}
        problems = [f"{m}: {s.message}" for m, s in scores.items() if s.value is None]
        if at and samples[at].status != "ok":
            problems = [samples[at].message.replace(f"{_id(number)}{path.suffix}", str(path))]
        values = {m: scores[m].value if m in scores else None for m in metrics}
        rows.append({"video": str(path), **values, "problems": "; ".join(problems)})
    return pd.DataFrame(rows).astype(dict.fromkeys(metrics, "float64"))


def fvd(
    generated: Place, reference: Place, encoder: str = "i3d", *, weights: Mapping[str, Place] | None = None
) -> SetValue:
    """Fréchet video distance between two folders of clips, on an encoder's features: `value`, the sets'
    sizes, and warnings, such as how much of it is bias under 2,048 videos. `i3d` is the literature's FVD; its
    weights come by `t2v-evals weights fetch i3d`.

    Raises `MetricError` where it cannot be computed, and what `evaluate` raises.
    """
    name = f"fvd[{encoder}]"
    chosen = {key: Path(path) for key, path in (weights or {}).items()}
    with tempfile.TemporaryDirectory(prefix="t2v-evals-") as folder, Resources() as resources:
        metrics = prepare([name], chosen)
        sides = []
        for side, path in (("generated", generated), ("reference", reference)):
            run = _run_of(side, Path(path), Path(folder), None, resources)
            score_run(run, metrics, Normalization(), resources)
            sides.append(run.path)
        found = compare_runs(sides[:1], Normalization(), sides[1])
    said = tuple(w.message for w in found.warnings if w.code != Caution.FEW_PROMPTS)
    if not found.distributions or found.distributions[0].value is None:
        raise MetricError("; ".join(said) or f"{name} could not be measured")
    one = found.distributions[0]
    return SetValue(found.distributions[0].value, one.n, one.n_reference, said, one.ci_low, one.ci_high)


def _prompt_set(given: str | Path | PromptSet | None) -> PromptSet | None:
    if given is None or isinstance(given, PromptSet):
        return given
    return prompts.named(str(given))


def _run_of(name: str, path: Path, place: Path, wanted: PromptSet | None, resources: Resources) -> RunFolder:
    """A run folder as it is, or a run made of a folder of clips in `place`."""
    if (path / "run.json").is_file():
        return RunFolder(path)
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder")
    generator = generators.create(f"folder:{path}")
    return generate_run(RunConfig(generator, place / name, wanted), resources)


def _id(number: int) -> str:
    return f"video-{number:06d}"


def _link(paths: Sequence[Path], texts: Sequence[str] | None, folder: Path) -> None:
    """A folder whose manifest lists the videos, by links."""
    folder.mkdir()
    lines: list[dict[str, Any]] = []
    for number, path in enumerate(paths):
        name = f"{_id(number)}{path.suffix}"
        try:
            (folder / name).symlink_to(path.resolve())
        except OSError as error:
            raise EvalsError(f"{path}: cannot be linked to: {error.strerror}") from None
        if texts is None:
            lines.append({"path": name})
        else:
            lines.append({"path": name, "prompt": texts[number], "prompt_id": _id(number)})
    if texts is not None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "videos.jsonl").write_text(text, encoding="utf-8")


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
    make the baseline's prompts and seeds in `out`; a run that is there is renamed. With `looks`, they begin
    with one seed a prompt, and take 2 and then 4 as long as the verdict is inconclusive, at a third of the
    level each.

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
                if look in (None, 1):
                    set_aside(path)  # videos of an earlier check are another candidate's
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
