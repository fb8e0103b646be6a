"""Options of the commands that write a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from evals.cli.options import Function, group

if TYPE_CHECKING:
    from evals.report import PageOptions

ALL = "all"


@dataclass(frozen=True)
class Paging:
    """What the page shows."""

    videos: int | None
    figures: bool
    portable: bool
    single_file: bool

    def options(self) -> PageOptions:
        """The same for `write_report`."""
        from evals.report import PageOptions

        return PageOptions(self.videos, self.figures, self.portable, self.single_file)


class _Count(click.ParamType[Any]):
    name = f"N|{ALL}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or value == ALL:
            return None
        try:
            count = int(value)
        except ValueError:
            count = -1
        if count < 0:
            self.fail(f"{value!r} is neither a number from 0 nor {ALL!r}", param, ctx)
        return count


def paging(videos: str) -> Callable[[Function], Function]:
    """The options; `videos` is the default number of prompts whose videos the page shows."""
    return group(
        "paging",
        Paging,
        click.option("--videos", type=_Count(), default=videos, show_default=True,
                     help="Prompts whose videos the page shows, the most telling first."),
        click.option("--figures/--no-figures", default=True, envvar="T2V_EVALS_FIGURES",
                     help="Draw figures for the page, as SVG and PDF."),
        click.option("--portable", is_flag=True, help="Copy the original videos into the report, too."),
        click.option("--single-file", is_flag=True, help="Put figures and videos into the page itself."),
    )  # fmt: skip
