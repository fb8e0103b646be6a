"""`--executor ray` on real clusters of several nodes on this machine."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evals.runs import journal
from tests.conftest import ROOT, Cli, Result, call, start
from tests.helpers import PLAIN
from tests.test_kills import TABLES, state, timeless

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed"),
]
WORK = ("--generator", "simulated:flicker@0.3", "--prompts", "parks", "--limit", 40,
        "--metrics", PLAIN, "--size", "96x72", "--frames", 12, "--name", "r")  # fmt: skip


class Nodes:
    """A cluster with a head that does no work, and nodes of one core each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        """`kill` a node and add another."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def stations(self) -> list[int]:
        """The processes of this cluster that stations run in."""
        parents, stations = {}, []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                name = (place / "cmdline").read_bytes()
                parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if name.startswith((b"ray::FeatureStation", b"ray::VideoStation")):
                stations.append(int(place.name))
        return [pid for pid in stations if self._process.pid in _line(pid, parents)]


def _line(pid: int, parents: dict[int, int]) -> list[int]:
    """A process and those that it comes from."""
    found = [pid]
    while found[-1] in parents and parents[found[-1]] not in found:
        found.append(parents[found[-1]])
    return found


@contextmanager
def cluster(count: int) -> Iterator[Nodes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray_cluster", str(count)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield Nodes(process)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(30)
        finally:
            process.stdout.close()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the local executor."""
    out = tmp_path_factory.mktemp("whole")
    assert call("run", *WORK, "--workers", 2, "--out", out).code == 0
    return out / "r"


def on_ray(address: str, out: Path) -> tuple[object, ...]:
    return ("run", *WORK, "--out", out, "--executor", "ray", "--address", address, "-v")


def check(whole: Path, run: Path, tmp_path: Path) -> None:
    """The same rows, scores and tables, and nothing in a journal twice."""
    assert state(run) == state(whole)
    for name, path in (("a", whole), ("b", run)):
        assert call("compare", path, "--videos", 0, "--out", tmp_path / name).code == 0
    for table in TABLES:
        assert timeless(tmp_path / "a" / table) == timeless(tmp_path / "b" / table), table
    for kind in ("samples", "scores"):
        records = [record for _, record in journal.read(run / kind / "main.jsonl")]
        assert len({(r["prompt_id"], r["seed"]) for r in records}) == len(records), kind


def writers(run: Path) -> set[str]:
    """The stations that wrote feature shards."""
    return {path.name.rpartition("-")[0] for path in (run / "features").glob("node-*.safetensors")}


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_several_nodes_equal_one_machine(count: int, whole: Path, tmp_path: Path) -> None:
    with cluster(count) as nodes:
        done = call(*on_ray(nodes.address, tmp_path))
        assert done.code == 0, done.err
    assert writers(tmp_path / "r")  # how many had something to do depends on how fast they start
    check(whole, tmp_path / "r", tmp_path / "tables")


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.nightly)])
def test_nodes_workers_and_the_driver_die_and_nothing_is_lost(
    whole: Path, tmp_path: Path, kills: int
) -> None:
    plan = ["node", "worker", "driver", *["node"] * (kills - 1)]
    rng = random.Random(3)
    with cluster(2) as nodes:
        for number in range(kills + 10):
            out = tmp_path / f"killed-{number}"
            done = False
            while not done:  # the driver is started again where it was killed
                with start(*on_ray(nodes.address, out)) as process:
                    while plan and process.poll() is None:
                        if not nodes.stations():
                            time.sleep(0.05)
                            continue
                        try:
                            process.wait(rng.uniform(0.5, 4))
                        except subprocess.TimeoutExpired:
                            if end(plan[0], process, nodes):
                                plan.pop(0)
                    _, err = process.communicate(timeout=600)
                done = process.returncode != -signal.SIGKILL
            assert process.returncode == 0, err
            check(whole, out / "r", tmp_path / f"tables-{number}")
            if not plan:
                return
    raise AssertionError(f"left: {plan}")


def end(kind: str, driver: subprocess.Popen[str], nodes: Nodes) -> bool:
    """Kill a node, the processes of stations, or the driver; whether there was any."""
    if kind == "node":
        nodes.tell("kill")
    elif kind == "driver":
        driver.kill()
        driver.wait()
    else:
        found = nodes.stations()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return bool(found)
    return True


def test_what_is_wrong_is_said(cli: Cli, tmp_path: Path) -> None:
    def run(*more: object) -> Result:
        return cli("run", *WORK, "--out", tmp_path, "--executor", *more)

    done = run("local", "--address", "auto")
    assert done.code == 2 and "--executor ray" in done.err
    done = run("ray", "--executor-option", "cpu=2")
    assert done.code == 2 and "did you mean 'cpus'" in done.err, done.err
    done = call("run", *WORK, "--out", tmp_path, "--executor", "ray", "--address", "127.0.0.1:9")
    assert done.code == 2 and "no cluster answers" in done.err, done.err
    with cluster(1) as nodes:
        base = ("run", *WORK, "--out", tmp_path, "--executor", "ray", "--address", nodes.address)
        plugin = tmp_path / "plugin.py"
        plugin.write_text("import os\nif os.environ.get('RAY_JOB_ID'):\n    raise ImportError('not here')\n")
        done = call(*base, "--plugin", plugin)
        assert done.code == 2 and "machine " in done.err and "not here" in done.err, done.err
