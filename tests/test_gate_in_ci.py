"""The gate where it is used: a scratch project's pytest against a server, the GitHub Action's steps, several
servers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import junitparser
import numpy as np
import pytest
import yaml

from evals.video import encode
from tests.conftest import ROOT, Cli, ball, call
from tests.videoserver import World, serve

SETTING = ("--prompts", "prompts.yaml", "--seeds", "2", "-o", "poll=0.02")
METRICS = "temporal_flicker,sharpness,blur"


class Degraded(World):
    """A server whose videos are blurred."""

    def video(self, prompt: str, seed: str) -> bytes:
        number = sum(prompt.encode()) * 31 + int(seed or 0)
        path = self.folder / f"{number}.mp4"
        with self.lock:
            if not path.exists():
                frames = [cv2.GaussianBlur(f, (0, 0), 2.0) for f in ball(4, (32, 48), seed=number % 1000)]
                encode(path, [np.asarray(frame, np.uint8) for frame in frames], 8)
        return path.read_bytes()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch project with a calibrated baseline that was made of a server's videos."""
    folder = tmp_path_factory.mktemp("project")
    prompts = [{"id": f"disc-{i}", "text": f"a disc, number {i * i}"} for i in range(10)]
    (folder / "prompts.yaml").write_text(json.dumps({"name": "discs", "prompts": prompts}))
    with serve(World(folder / "server")) as url:
        for name in ("one", "two"):
            base = ("run", "--generator", f"openai-videos:m@{url}", *SETTING, "--metrics", METRICS)
            found = call(*base, "--name", name, "-q", cwd=folder)
            assert found.code == 0, found.err
    made = call(
        "gate", "baseline", "runs/one", "--out", "base.json", "--clips", "--margin", "2.5sd", cwd=folder
    )
    assert made.code == 0, made.err
    # The server's address is no part of what is tested.
    found = call("gate", "calibrate", "runs/one", "runs/two", "--baseline", "base.json", "-q", cwd=folder)
    assert found.code == 0, found.err
    (folder / "test_model.py").write_text(
        "import os, pytest\n"
        "SERVER = os.environ['SERVER']\n"
        "@pytest.mark.t2v_gate(baseline='base.json', options={'poll': '0.02'})\n"
        "def test_still_as_good(t2v_gate):\n"
        "    found = t2v_gate(f'openai-videos:m@{SERVER}')\n"
        "    assert found.required == ('quality', 'fidelity')\n"
        "@pytest.mark.t2v_gate('base.json', require='quality')\n"
        "def test_a_function_that_is_worse(t2v_gate):\n"
        "    import numpy as np\n"
        "    def model(prompt, seed):\n"
        "        return np.full((4, 32, 48, 3), 100, np.uint8)\n"
        "    found = t2v_gate.check(model)\n"
        "    assert found.verdict == 'regression'\n"
    )
    return folder


def run_pytest(project: Path, server: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *more]
    environment = {**os.environ, "SERVER": server, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=250, check=False
    )


@pytest.mark.slow
def test_the_pytest_plugin(project: Path) -> None:
    """Passes against the unchanged server, fails against one that returns degraded clips."""
    with serve(World(project / "server")) as url:
        found = run_pytest(project, url, "--t2v-out", "results", "--junitxml", "tests.xml")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "2 passed" in found.stdout
    (kept,) = (project / "results").glob("*test_still_as_good-*")
    assert json.loads((kept / "gate.json").read_text())["verdict"] == "pass"
    for path in (project / "tests.xml", kept / "junit.xml"):
        suite = next(iter(junitparser.JUnitXml.fromfile(str(path))))
        assert suite.failures == suite.errors == 0 and suite.tests >= 2
    with serve(Degraded(project / "degraded")) as url:
        found = run_pytest(project, url, "-k", "still_as_good")
    assert found.returncode == 1
    assert "REGRESSION" in found.stdout and "Worse on sharpness" in found.stdout
    assert "Videos differ by fidelity_psnr" in found.stdout


@pytest.mark.slow
def test_the_plugin_fails_where_it_cannot_check(project: Path) -> None:
    """A baseline that is not there, and a server that is not, fail the test."""
    (project / "test_none.py").write_text(
        "import pytest\n"
        "@pytest.mark.t2v_gate(baseline='none.json')\n"
        "def test_none(t2v_gate):\n"
        "    t2v_gate('runs/two')\n"
        "def test_unnamed(t2v_gate):\n"
        "    t2v_gate('runs/two')\n"
        "@pytest.mark.t2v_gate(baseline='base.json', options={'pause': '0', 'deadline': '1'})\n"
        "def test_no_server(t2v_gate):\n"
        "    t2v_gate('openai-videos:m@http://127.0.0.1:9/v1')\n"
    )
    found = run_pytest(project, "", "test_none.py")
    (project / "test_none.py").unlink()
    assert found.returncode == 1 and "3 failed" in found.stdout, found.stdout
    assert "no such baseline" in found.stdout and "name the baseline" in found.stdout


@pytest.mark.nightly
def test_the_steps_of_the_action(project: Path, tmp_path: Path) -> None:
    """Its scripts as they stand in action.yml, run by bash."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = {step["name"]: step for step in action["runs"]["steps"]}
    defaults = {name: one.get("default", "") for name, one in action["inputs"].items()}

    def run(step: str, **inputs: str) -> tuple[int, str, str]:
        given = {**defaults, **inputs}
        environment = {
            name: given[value.split("inputs.")[1].split(" ")[0]] if "inputs." in value else ""
            for name, value in steps[step]["env"].items()
        }
        output, summary = tmp_path / "output", tmp_path / "summary"
        for path in (output, summary):
            path.write_text("")
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin" / "t2v-evals"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/run_eval.py" "$@"\n')
        program.chmod(0o755)
        (tmp_path / "bin" / "python").unlink(missing_ok=True)
        (tmp_path / "bin" / "python").symlink_to(sys.executable)
        search = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", steps[step]["run"]], cwd=project, check=False,
            env={**os.environ, **environment, "PATH": search, "GITHUB_OUTPUT": str(output),
                 "GITHUB_STEP_SUMMARY": str(summary)},
        )  # fmt: skip
        return done.returncode, output.read_text(), summary.read_text()

    assert run("Install", package="none")[0] == 0
    code, output, summary = run("Check", baseline="base.json", candidate="runs/two", out=str(tmp_path / "a"))
    assert (code, output) == (0, "verdict=pass\n") and summary.startswith("### t2v-evals gate: passes")
    other = {"baseline": "base.json", "candidate": "runs/two", "arguments": "--platform gpu=B200"}
    code, output, _ = run("Check", **other, out=str(tmp_path / "b"))
    assert (code, output) == (3, "verdict=not comparable\n")
    assert run("Check", **other, out=str(tmp_path / "b"), inconclusive="notice")[0] == 0
    code, output, summary = run("Check", baseline="none.json", candidate="runs/two", out=str(tmp_path / "c"))
    assert (code, output, summary) == (2, "verdict=error\n", "")


def asked(folder: Path, *servers: str) -> tuple[object, ...]:
    """Arguments that generate the folder's prompts on several servers."""
    options = [x for option in ("poll=0.02", "pause=0.01") for x in ("-o", option)]
    name = f"openai-videos:m@{','.join(servers)}"
    return ("generate", "--generator", name, "--name", "run", "--out", folder, "--prompts",
            folder / "prompts.yaml", *options, "-q")  # fmt: skip


def test_several_servers(cli: Cli, tmp_path: Path) -> None:
    """Both work, every job is polled and fetched where it was taken, and a restart knows where."""
    prompts = [{"id": f"p{i}", "text": f"a disc, number {i}"} for i in range(8)]
    prompts[3]["text"] += " [poll=500*2]"
    (tmp_path / "prompts.yaml").write_text(json.dumps({"name": "many", "prompts": prompts}))
    first, second = World(tmp_path / "a", polls=2), World(tmp_path / "b", polls=2)
    with serve(first) as one, serve(second) as two:
        base = asked(tmp_path, one, two)
        found = cli(*base)
        assert found.code == 0, found.err
        assert min(len(first.jobs), len(second.jobs)) >= 2
        assert len(first.jobs) + len(second.jobs) == 8
        for world in (first, second):
            mine = {path.split("/")[3] for method, path, _ in world.seen if "/content" in path}
            assert mine == set(world.jobs)
        assert cli(*base).code == 0
        assert len(first.jobs) + len(second.jobs) == 8
    twice = cli("generate", "--generator", f"openai-videos:m@{one},{one}", "--prompts", "parks")
    assert twice.code == 2 and "given twice" in twice.err


def test_a_lost_answer_is_looked_for_on_every_server(cli: Cli, tmp_path: Path) -> None:
    """A submit whose answer broke off was taken by one of them; it is found and not sent again."""
    prompts = [{"id": "p", "text": "a disc [submit=reset-accepted]"}]
    (tmp_path / "prompts.yaml").write_text(json.dumps({"name": "lost", "prompts": prompts}))
    first, second = World(tmp_path / "a"), World(tmp_path / "b")
    with serve(first) as one, serve(second) as two:
        found = cli(*asked(tmp_path, one, two))
    assert found.code == 0, found.err
    assert Counter(first.accepted) + Counter(second.accepted) == Counter({(prompts[0]["text"], "0"): 1})


def test_the_least_busy_server_is_next() -> None:
    from evals.generators.servers import Servers
    from evals.remote.client import Client

    servers = Servers([Client(f"http://127.0.0.1:{port}/v1", "") for port in (1, 2)])
    first = servers.took("x", servers.least_busy())
    second = servers.took("x", servers.least_busy())
    assert first.id != second.id and [servers.of(j)[0].base[-4] for j in (first, second)] == ["1", "2"]
    servers.ended(second)
    servers.ended(second)
    assert servers.least_busy() is servers.of(second)[0]
