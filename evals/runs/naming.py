"""Names of runs, which are names of folders."""

from __future__ import annotations

import re

from evals.errors import UsageError


def checked_name(name: str) -> str:
    """A run's name, which is a folder's name and nothing else. Raises `UsageError`."""
    if not re.fullmatch(r"\w[\w.+ -]{0,99}", name):
        raise UsageError(
            f"--name {name!r:.120}: a name is 1 to 100 letters, digits, spaces and any of _ . + -"
        )
    return name


def default_name(label: str) -> str:
    """A run's name from its generator's label: `folder:modelA` gives `modelA`, `command:gen.py` `gen.py`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", label.partition(":")[2] or label).strip("-.")
    return name or "run"
