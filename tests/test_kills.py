"""Kills at random points of a real run: between writes by the clock, inside them by a plugin."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from evals.runs import journal
from evals.runs.folder import RunFolder
from tests.conftest import call, start
from tests.helpers import PLAIN
from tests.test_run import rows


def timeless(path: Path) -> list[bytes]:
    """A table's lines, but for how long generating took, which is another time every time."""
    return [line for line in path.read_bytes().splitlines() if b"seconds_per_video" not in line]


TABLES = ("scores.csv", "means.csv", "pairs.csv", "distributions.csv")

# Ends its own process inside the write of a given number: before it, half way through a line or a file,
# before the renaming, or after it.
KILLER = """
import os, pathlib, signal
from evals.runs import journal

wanted, phase = map(int, os.environ["KILL_AT"].split(","))
seen = 0


def due():
    global seen
    seen += 1
    return seen == wanted


def die():
    os.kill(os.getpid(), signal.SIGKILL)


write, replace = journal.Journal._write, pathlib.Path.replace


def half_a_line(self, data):
    if due():
        if phase:
            self._file.write(data[: max(1, len(data) * phase // 4)])
        die()
    write(self, data)


def rename(self, target):
    if due():
        if phase == 1:
            self.write_bytes(self.read_bytes()[: self.stat().st_size // 2])
        if phase == 3:
            replace(self, target)
        die()
    return replace(self, target)


journal.Journal._write = half_a_line
pathlib.Path.replace = rename
"""


def state(run: Path) -> tuple[object, ...]:
    """What a run holds but for measured times, attempts and dates."""
    one = RunFolder(run)
    samples = one.samples()
    kept = {at: s.model_dump(exclude={"wall_seconds", "attempts", "created"}) for at, s in samples.items()}
    return kept, one.scores("native", samples), rows(run), one.info.seeds, one.info.metrics


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("wanted", [5, 30])
def test_kills_at_any_moment_change_nothing(
    wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "killer.py"
    plugin.write_text(KILLER)
    command = (
        "run", "--generator", "simulated:flicker@0.3", "--prompts", "parks", "--limit", 70, "--seeds", 2,
        "--metrics", PLAIN,
        "--size", "96x72", "--frames", 12, "--name", "r", "--workers", 2,
    )  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert call(*command, "--out", whole).code == 0
    rng, kills = np.random.default_rng(11), {"clock": 0, "write": 0}
    for number in range(200):
        inside = number % 2 == 0
        if inside:
            monkeypatch.setenv("KILL_AT", f"{rng.integers(1, 14)},{rng.integers(0, 4)}")
        extra = ("--plugin", plugin) if inside else ()
        with start(*command, *extra, "--out", killed) as process:
            try:
                process.communicate(timeout=None if inside else float(rng.uniform(0.3, 4.0)))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills["write" if inside else "clock"] += 1
        if sum(kills.values()) == wanted:
            break
        assert process.returncode in (0, -signal.SIGKILL)
        if process.returncode == 0:  # it got to its end: begin anew
            assert state(killed / "r") == state(whole / "r")
            killed = tmp_path / f"killed-{number}"
    assert sum(kills.values()) == wanted and min(kills.values()) >= wanted // 4, kills
    assert call(*command, "--out", killed).code == 0
    assert state(killed / "r") == state(whole / "r")
    for side, folder in (("a", whole), ("b", killed)):
        out = tmp_path / side
        assert call("compare", folder / "r", "--videos", 0, "--out", out).code == 0
    for table in TABLES:
        assert timeless(tmp_path / "a" / table) == timeless(tmp_path / "b" / table), table
    for name in ("samples/main.jsonl", "scores/main.jsonl"):
        records = [record for _, record in journal.read(killed / "r" / name)]
        assert len({(r["prompt_id"], r["seed"]) for r in records}) == len(records) > 80  # nothing twice
