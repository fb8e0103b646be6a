"""`judge`: a judge beside people, and between runs. One file per subcommand."""

from __future__ import annotations

import click

from evals.cli.groups import Group
from evals.cli.judge import calibrate, compare


@click.group(name="judge", cls=Group)
def command() -> None:
    """Correct a judge by people's labels, or have it choose between runs."""


for _file in (calibrate, compare):
    command.add_command(_file.command)
