"""`prompts lint`: what is wrong with prompt sets."""

from __future__ import annotations

import click

from evals.cli.output import tell, tell_json
from evals.cli.prompts import sets
from evals.errors import UsageError, nearest

FOUND = 1


@click.command(name="lint")
@sets.argument
@click.option("--skip", metavar="RULE,…", help="Rules to leave out.")
@click.option(
    "--against", multiple=True, metavar="SET|FILE", help="Another suite's prompts that none may resemble."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(names: tuple[str, ...], skip: str | None, against: tuple[str, ...], as_json: bool) -> int:
    """Check prompt sets: ids, annotations, near-duplicates, balance, questions and their answers.

    Without names the standard sets are checked. Exit code 1 where there is anything to mend. Rules: id,
    missing, length, praise, guessed, variants, questions, answers, duplicates, balance, subsets."""
    from evals import prompts
    from evals.prompts.lint import RULES, duplicates, lint

    left_out = [name.strip() for name in (skip or "").split(",") if name.strip()]
    for name in left_out:
        if name not in RULES:
            raise UsageError(f"--skip {name}: no such rule{nearest(name, RULES)} (known: {', '.join(RULES)})")
    checked = sets.given(names)
    found = lint(checked, left_out)
    for path in against:
        found += duplicates.borrowed(checked, prompts.named(path))
    total = sum(len(one.prompts) for one in checked)
    if as_json:
        tell_json({"prompts": total, "findings": [finding.to_json() for finding in found]}, indent=1)
    else:
        for finding in found:
            place = ": ".join(filter(None, (finding.set, finding.prompt)))
            tell(f"{place}: {finding.message} [{finding.rule}]")
        what = f"{len(found)} to mend" if found else "nothing to mend"
        tell(f"{total} prompts in {len(checked)} sets: {what}")
    return FOUND if found else 0
