"""Groups of commands, as `--help` lists them."""

from __future__ import annotations

from typing import Any

import click

from evals.errors import UsageError, nearest


class Group(click.Group):
    """Commands in the order of a day's work; a misspelt one names the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UsageError(f"unknown command {args[0]!r}{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)
