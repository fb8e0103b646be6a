"""`prompts`: look after prompt sets. One file per subcommand."""

from __future__ import annotations

import click

from evals.cli.groups import Group
from evals.cli.prompts import annotate, croissant, lint, stats


@click.group(name="prompts", cls=Group)
def command() -> None:
    """Check, count, annotate and export prompt sets."""


for _file in (lint, stats, annotate, croissant):
    command.add_command(_file.command)
