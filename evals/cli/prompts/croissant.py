"""`prompts croissant`: prompt sets as tables with Croissant metadata."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import PATH
from evals.cli.output import tell
from evals.cli.prompts import sets


@click.command(name="croissant")
@sets.argument
@click.option("--out", type=PATH, required=True, help="Folder for the tables and croissant.json.")
def command(names: tuple[str, ...], out: Path) -> int:
    """Export prompt sets as JSON lines with Croissant 1.1 metadata, and read them back with mlcroissant.

    Without names the standard sets are exported."""
    from evals.prompts.croissant import check, export

    page = export(sets.given(names), out)
    read = check(page)
    tell(f"wrote {page}; mlcroissant reads {', '.join(f'{n} {name}' for name, n in read.items())}")
    return 0
