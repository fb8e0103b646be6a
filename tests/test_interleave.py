"""Several generators, in turn."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Cli
from tests.test_jobs import write_prompts

MODEL = """
from pathlib import Path
import numpy as np

def generate(prompt, seed, name="a"):
    with Path(__file__).with_name("seen.txt").open("a") as file:
        file.write(f"{name} {prompt} {seed}\\n")
    return np.full((2, 16, 16, 3), 100, np.uint8)
"""


def test_models_take_turns(cli: Cli, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MODEL.replace('name="a"', f'name="{name}"'))
    prompts = write_prompts(tmp_path / "p.yaml", ["a", "b", "c"])
    base = ["generate", "--prompts", prompts, "--seeds", "2", "--out", tmp_path / "runs"]
    both = [x for n in ("one", "two") for x in ("--generator", f"python:{tmp_path / n}.py:generate")]
    found = cli(*base, *both, "--interleave", "2")
    assert found.code == 0, found.err
    seen = (tmp_path / "seen.txt").read_text().splitlines()
    order = [(line.split()[0], line.split()[1]) for line in seen]
    turns = [*(("one", "two")[i] + p for i in (0, 1) for p in "ab"), "onec", "twoc"]
    assert list(dict.fromkeys(name + prompt for name, prompt in order)) == turns
    assert len(seen) == 12
    runs = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert runs == ["one-generate", "two-generate"]
    rows = [
        json.loads(x) for x in (tmp_path / "runs" / runs[0] / "samples/main.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 6 and all(r["created"] for r in rows)
    assert cli(*base, *both, "--interleave", "2").code == 0
    assert len((tmp_path / "seen.txt").read_text().splitlines()) == 12  # resumed: nothing is made twice


def test_mistakes(cli: Cli, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", ["a"])
    clean = ("--generator", "simulated:clean")
    base = ("generate", "--prompts", prompts, "--out", tmp_path)
    for extra, message in (
        ((*clean, "--interleave", "1"), "several generators"),
        ((*clean, "--generator", "simulated:blur", "--name", "x"), "--name"),
        ((*clean, *clean), "two generators"),
    ):
        found = cli(*base, *extra)
        assert found.code == 2 and message in found.err
