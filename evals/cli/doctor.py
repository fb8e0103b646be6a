"""`doctor`: what can run on this machine, and what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from evals.cli.output import tell


@click.command(name="doctor")
def command() -> int:
    """What can run on this machine, and what is missing."""
    for line in check_machine():
        tell(line)
    return 0


def check_machine() -> Iterator[str]:
    """What this machine is, and for every suite whether it can run."""
    import torch

    from evals.metrics import suites
    from evals.runs.provenance import hardware, versions

    facts = hardware()
    yield f"system      {facts['system']}, {facts['machine']}, {facts['cores']} usable cores"
    yield "versions    " + ", ".join(f"{k} {v}" for k, v in versions().items())
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            name = torch.cuda.get_device_name(i)
            yield f"device      cuda:{i} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    else:
        yield "device      cpu (torch finds no CUDA device); encoders run, slowly"
    yield f"here        {Path.cwd()} is {'writable' if os.access(Path.cwd(), os.W_OK) else 'NOT writable'}"
    for name in suites.names():
        yield f"suite       {name}: {_state(name)}"


def _state(suite: str) -> str:
    """Whether a suite can run, or everything that is missing, with sizes."""
    from evals.errors import EvalsError
    from evals.metrics import suites
    from evals.metrics.required import required
    from evals.score import prepare

    ids = suites.load(suite).metrics
    if missing := [one for one in required(ids) if not one.is_here()]:
        listed = ", ".join(
            f"{one.name} ({one.shown_size})" if one.shown_size else one.name for one in missing
        )
        return f"lacks {listed}; `t2v-evals weights fetch {suite}` fetches them"
    try:
        prepare(ids)
    except EvalsError as error:
        return f"cannot run here: {error}"
    return "can run"
