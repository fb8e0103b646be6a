"""The page: what it shows first is text and tables that need no script; the viewer is brought to life by
one."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from evals.compare import Comparison
from evals.compare.rules import MARGIN
from evals.records import ALL, MetricInfo
from evals.report import judging, physics, tables
from evals.report.figures import FOLDER as FIGURES
from evals.report.figures import Plot
from evals.report.matrix import Cell, Matrix, base_of, matrices
from evals.report.numbers import interval, number, percent, signed
from evals.report.page import script
from evals.report.page.about import about
from evals.report.page.curves import FLAGS
from evals.report.page.data import DATA
from evals.report.page.data import script as data_script
from evals.report.page.failures import Failing
from evals.report.page.violations import Violation
from evals.report.recipe import lines_of
from evals.report.remedies import advice
from evals.report.tables import arrow, cells, value_or_reason
from evals.report.terminal import MARKS, short_names
from evals.report.words import answer, best_by_aspect, distances, sentences

MARK = '<meta name="generator" content="t2v-evals">'
"""Stands in every page of ours, and in no other."""
POLICY_HERE = "content-security-policy-of-this-page"
MOST_PROBLEMS = 500
TYPES = {".svg": "image/svg+xml", ".jpg": "image/jpeg", ".mp4": "video/mp4"}


@dataclass(frozen=True)
class Bar:
    """An interval as a picture of 120 × 14: x of the margin's ends, the interval's ends, and the gain."""

    low: float | None
    high: float | None
    gain: float
    margin: tuple[float, float]


@dataclass(frozen=True)
class Contents:
    """What a page is made of beside the comparison. `data` are the scripts in `data/` by name, `media` the
    names of files in `media/`; `single`: all of it is put into the page."""

    figures: Sequence[Plot] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    media: Sequence[str] = ()
    videos: bool = False
    failing: Sequence[Failing] = ()
    violations: Sequence[tuple[str, list[Violation], int]] = ()
    without_previews: int = 0
    files: Sequence[str] = ()
    single: bool = False


def render(comparison: Comparison, contents: Contents, figures: Path, media: Path) -> str:
    """The page as text. Everything that came from a user is escaped. A single file takes figures and media
    from these folders."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evals.report.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, short=partial(_number, digits=2))
    environment.globals["beside"] = judging.beside(comparison)  # macros see it, too
    known = about(comparison.metrics)
    told = advice(comparison)
    scripts = _scripts(contents, media)
    page = environment.get_template("page.html.j2").render(
        comparison=comparison,
        labels=comparison.labels,
        prompts=comparison.scores["prompt_id"].nunique(),
        answer=answer(comparison),
        best=best_by_aspect(comparison),
        figures_against=base_of(comparison),
        findings=sentences(comparison) + distances(comparison),
        matrices=matrices(comparison),
        not_measured=tables.not_measured(comparison),
        bar=bar,
        grave=[one for one in told if one.grave],
        moved={aspect for one in told for aspect in one.moves},
        light=[one for one in told if not one.grave],
        warnings=sum(n for one in told if not one.grave for _, n in one.messages),
        figures=contents.figures,
        figure=partial(_figure, contents, figures),
        pair_rows=tables.pair_rows(comparison),
        means=cells(comparison),
        categories=_categories(comparison),
        controls=_controls(comparison),
        protocols=tables.protocols(comparison),
        unmeasured=tables.unmeasured(comparison),
        notes=_notes(comparison),
        problems=comparison.problems[:MOST_PROBLEMS],
        recipe=lines_of(comparison),
        about=known,
        number_of={one.id: one.number for one in known},
        contents=contents,
        interval=lambda *bounds: interval(*bounds).replace("-", "−"),
        signed=signed,
        percent=percent,
        arrow=arrow,
        value_or_reason=value_or_reason,
        names=short_names(list(comparison.metrics)),
        flags=FLAGS,
        judges=judging.sentences(comparison),
        judge_columns=judging.columns(comparison),
        judge_rows=judging.rows(comparison),
        parts=judging.kinds(comparison),
        laws=physics.by_law(comparison),
        broken=any(each for _, each, _ in contents.violations),
        law_categories=physics.by_category(comparison),
        file=partial(_media, contents, media),
        slug=lambda verdict: (verdict or "diagnostic").replace(" ", "-"),
        mark=Markup(MARK),
        policy=POLICY_HERE,
        styles=Markup(script.styles()),
        scripts=[Markup(one) for one in scripts],
        viewer=Markup(script.viewer()),
    )
    allowed = script.policy([*scripts, script.viewer()], [script.styles()], contents.single)
    return page.replace(POLICY_HERE, allowed, 1)  # it stands before any text of a user


def _number(value: float | None, digits: int = 4) -> str:
    """A number as the page writes it."""
    return number(value, digits).replace("-", "−")


def _scripts(contents: Contents, folder: Path) -> list[str]:
    """What stands in the page before the viewer: the chart library, and in a single file all data and
    media."""
    if not contents.videos:
        return []
    found = [script.charts()]
    if contents.single:
        files = {name: data_url(folder / name) for name in contents.media}
        found += [data_script(name, value) for name, value in contents.data.items()]
        found.append(data_script("files", files))
    return found


def data_url(path: Path) -> str:
    """A file as a URL that holds it."""
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _figure(contents: Contents, folder: Path, plot: Plot, dark: bool) -> str:
    """Where a figure is, from the page."""
    name = f"{plot.name}{'-dark' if dark else ''}.svg"
    return data_url(folder / name) if contents.single else f"{FIGURES}/{name}"


def _media(contents: Contents, folder: Path, place: str) -> str:
    """Where a picture of a video is, from the page."""
    return data_url(folder / Path(place).name) if contents.single else place


def bar(cell: Cell, matrix: Matrix) -> Bar | None:
    """A cell's gain and interval on the matrix's common scale."""
    if cell.gain is None:
        return None
    scale = 56 / matrix.reach

    def place(value: float) -> float:
        return round(60 + scale * min(max(value, -matrix.reach), matrix.reach), 1)

    low, high = (None if x is None else place(x) for x in (cell.low, cell.high))
    return Bar(low, high, place(cell.gain), (place(-MARGIN), place(MARGIN)))


def _categories(comparison: Comparison) -> dict[str, list[tuple[MetricInfo, list[list[str]]]]]:
    names = sorted({mean.category for mean in comparison.means} - {ALL})
    return {name: cells(comparison, name) for name in names} if len(names) > 1 else {}


def _controls(comparison: Comparison) -> tuple[list[str], list[tuple[str, list[str]]]] | None:
    """The controls' names, and a line of marks for every metric."""
    names = list(dict.fromkeys(one.control for one in comparison.controls))
    if not names:
        return None
    found = {(one.metric, one.control): one.outcome for one in comparison.controls}
    metrics = [m for m in comparison.metrics if any((m, n) in found for n in names)]
    return names, [(m, [MARKS.get(found.get((m, n), "open"), "") for n in names]) for m in metrics]


def _notes(comparison: Comparison) -> list[tuple[str, str, str, int]]:
    """Notes on scores with how often they occur: (run, metric, note, count)."""
    counted = Counter((n.run, n.metric, n.note) for n in comparison.notes)
    return [(*key, count) for key, count in counted.items()]


__all__ = ["DATA", "MARK", "Contents", "render"]
