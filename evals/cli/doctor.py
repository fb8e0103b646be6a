"""`doctor`: what can run on this machine, and what is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from evals.cli.output import tell, tell_json


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> int:
    """What can run on this machine, and what is missing."""
    facts = check_machine()
    if as_json:
        tell_json(facts, indent=1)
        return 0
    tell(f"system      {facts['system']}")
    tell("versions    " + ", ".join(f"{k} {v}" for k, v in facts["versions"].items()))
    for device in facts["devices"]:
        tell(f"device      {device}")
    tell(f"here        {facts['here']} is {'writable' if facts['writable'] else 'NOT writable'}")
    for name, state in facts["suites"].items():
        tell(f"suite       {name}: {state}")
    return 0


def check_machine() -> dict[str, Any]:
    """What this machine is, and for every suite whether it can run."""
    import torch

    from evals.metrics import suites
    from evals.runs.provenance import hardware, versions

    facts = hardware()
    devices = []
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(i)
        name = torch.cuda.get_device_name(i)
        devices.append(f"cuda:{i} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    return {
        "system": f"{facts['system']}, {facts['machine']}, {facts['cores']} usable cores",
        "versions": versions(),
        "devices": devices or ["cpu (torch finds no CUDA device); encoders run, slowly"],
        "here": str(Path.cwd()),
        "writable": os.access(Path.cwd(), os.W_OK),
        "suites": {name: _state(name) for name in suites.names()},
    }


def _state(suite: str) -> str:
    """Whether a suite can run, or everything that is missing, with sizes."""
    from evals.errors import EvalsError
    from evals.metrics import suites
    from evals.metrics.required import required
    from evals.scoring import prepare

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
