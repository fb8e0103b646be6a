"""The sets that a subcommand works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from evals.records import PromptSet

argument: Callable[[Any], Any] = click.argument("names", nargs=-1, metavar="[SET|FILE]…")
"""Names of standard sets, subsets such as physics:core, or files; none for all standard sets."""


def given(names: Sequence[str]) -> list[PromptSet]:
    """The sets that were named, else the standard ones. Raises `UnknownName` or `PromptError`."""
    from evals import prompts

    return [prompts.named(name) for name in names] if names else prompts.builtin()
