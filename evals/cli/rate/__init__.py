"""`rate`: blind votes of people between runs. One file per subcommand."""

from __future__ import annotations

from typing import Any

import click

from evals.cli.groups import Group
from evals.cli.rate import export, import_, serve, show


class _Rate(Group):
    """`rate RUN RUN …` serves the page; a subcommand's name is none of a run."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            return "serve", self.commands["serve"], args
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(name="rate", cls=_Rate)
def command() -> None:
    """Have people vote between runs, blindly: `rate RUN RUN …` serves a page on this machine."""


for _file in (serve, show, export, import_):
    command.add_command(_file.command)
