"""`gate history`: placeholder until written."""

import click


@click.command(name="history")
def command() -> int:
    return 0
