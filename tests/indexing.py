"""What a run says with its index and without it, for the tests of the index."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from evals.runs import index, journal
from evals.runs.folder import RunFolder


def told(run: Path) -> dict[str, Any]:
    """All that holds of a run."""
    folder = RunFolder(run)
    samples = folder.samples()
    every = {name: dict(folder.values(name, samples)) for name in folder.info.metrics}
    return {"samples": dict(samples), "ok": sorted(samples.ok()), "scores": every}


def plainly(run: Path) -> dict[str, Any]:
    """The same of a copy without an index."""
    copy = run.with_name("plain")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(index.FOLDER))
    return told(copy)


def parsed(run: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lines of journals are read for all that holds."""
    count = 0
    real = journal._parsed

    def counted(line: bytes, owner: bytes, where: str) -> Any:
        nonlocal count
        count += 1
        return real(line, owner, where)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_parsed", counted)
        told(run)
    return count
