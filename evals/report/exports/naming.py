"""File names for models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from evals.records import digest

LONGEST = 80


def file_names(labels: Sequence[str]) -> list[str]:
    """A name for each model that every file system takes and that differ in more than case: the model's own
    where it is one, else what is left of it with a few digits of its hash."""
    plain = [re.sub(r"[^\w.-]+", "-", label)[:LONGEST].strip(".-") or "model" for label in labels]
    taken = Counter(name.lower() for name in plain)
    return [
        name if name == label and taken[name.lower()] == 1 else f"{name}-{digest(label)[:6]}"
        for name, label in zip(plain, labels, strict=True)
    ]
