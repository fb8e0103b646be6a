"""`prompts stats`: the balance of prompt sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from evals.cli.output import tell, tell_json
from evals.cli.prompts import sets

if TYPE_CHECKING:
    from evals.prompts.stats import Stats
    from evals.records import PromptSet

COLUMNS = (
    "set", "prompts", "easy", "medium", "hard", "moving camera", "questions", "answer no", "core", "mini",
    "drawable",
)  # fmt: skip


@click.command(name="stats")
@sets.argument
@click.option("--refused", is_flag=True, help="List the prompts that the simulator cannot draw, with why.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(names: tuple[str, ...], refused: bool, as_json: bool) -> int:
    """What prompt sets hold: levels, categories, questions, variants, and what the simulator can draw.

    Without names the standard sets are counted."""
    from evals.prompts.stats import stats

    given = sets.given(names)
    counted = [stats(found) for found in given]
    cannot = [dict(_refusals(found)) for found in given]
    if as_json:
        rows = [{**c.model_dump(), "refused": no} for c, no in zip(counted, cannot, strict=True)]
        tell_json(rows, indent=1)
        return 0
    if refused:
        for source, no in zip(given, cannot, strict=True):
            for prompt, why in no.items():
                tell(f"{source.name}: {prompt}: {why}")
        return 0
    rows_ = [_row(c, len(no)) for c, no in zip(counted, cannot, strict=True)]
    if len(counted) > 1:
        rows_.append(_total(counted, sum(map(len, cannot))))
    _table(rows_)
    for one in counted:
        tell("")
        for line in _lines(one):
            tell(line)
    return 0


def _refusals(found: PromptSet) -> Iterator[tuple[str, str]]:
    """The prompts that the simulated worlds cannot show, with the reason."""
    from evals.errors import CannotDraw
    from evals.worlds import Film

    for prompt in found.prompts:
        try:
            _ = Film(prompt, 0).scene
        except CannotDraw as error:
            yield prompt.id, str(error)


def _row(one: Stats, refused: int) -> list[str]:
    drawable = one.prompts - refused
    return [
        one.set, str(one.prompts), *(str(one.difficulty.get(x, 0)) for x in ("easy", "medium", "hard")),
        str(_moving(one)), str(sum(one.questions.values())),
        "" if one.expected_no is None else f"{one.expected_no:.0%}",
        *(str(one.subsets.get(name, "")) for name in ("core", "mini")),
        f"{drawable} ({drawable / max(1, one.prompts):.0%})",
    ]  # fmt: skip


def _moving(one: Stats) -> int:
    return sum(n for name, n in one.camera.items() if name not in ("static", "unknown"))


def _total(counted: Sequence[Stats], refused: int) -> list[str]:
    prompts, asked = (
        sum(one.prompts for one in counted),
        sum(sum(one.questions.values()) for one in counted),
    )
    no = sum((one.expected_no or 0) * sum(one.questions.values()) for one in counted)
    return [
        "all", str(prompts),
        *(str(sum(one.difficulty.get(x, 0) for one in counted)) for x in ("easy", "medium", "hard")),
        str(sum(map(_moving, counted))), str(asked), f"{no / asked:.0%}" if asked else "",
        *(str(sum(one.subsets.get(name, 0) for one in counted)) for name in ("core", "mini")),
        f"{prompts - refused} ({(prompts - refused) / max(1, prompts):.0%})",
    ]  # fmt: skip


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
    for row in (COLUMNS, *rows):
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        tell("  ".join(cells).rstrip())


def _lines(one: Stats) -> Iterator[str]:
    yield f"{one.set} {one.version} ({one.digest}), {one.words:.0f} words a prompt"
    for label, counts in (
        ("categories", one.categories), ("camera", one.camera), ("motion", one.motion), ("laws", one.laws),
        ("question kinds", one.questions), ("translations", one.languages),
    ):  # fmt: skip
        if counts:
            yield f"  {label}: {', '.join(f'{name} {n}' for name, n in counts.items())}"
    variants = {
        "paraphrases": one.paraphrases, "contrasts": one.contrasts, "counterfactual": one.counterfactual,
        "with guesses": one.guessed,
    }  # fmt: skip
    if any(variants.values()):
        yield f"  variants: {', '.join(f'{n} {name}' for name, n in variants.items() if n)}"
