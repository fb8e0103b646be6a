"""`gate`: is a candidate still as good as its baseline? One file per subcommand."""

from __future__ import annotations

import click

from evals.cli.gate import accept, baseline, calibrate, check, history, plan
from evals.cli.groups import Group


@click.group(name="gate", cls=Group)
def command() -> None:
    """Check a candidate against a baseline in CI.

    Exit codes of a check: 0 pass, 1 regression, 3 inconclusive or not comparable, 2 error."""


for _file in (baseline, calibrate, plan, check, accept, history):
    command.add_command(_file.command)
