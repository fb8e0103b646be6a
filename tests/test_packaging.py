"""The wheel carries everything; README, CI and layout agree with each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_the_wheel_runs_and_finds_its_prompts(tmp_path: Path) -> None:
    """Built as a user would, installed elsewhere, run with no checkout in sight."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("t2v_evals-*.whl"))
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    pip += ["--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    assert (site / "evals" / "prompt_sets" / "parks.yaml").is_file()

    def run(*arguments: object) -> str:
        command = [sys.executable, "-P", str(site / "bin" / "t2v-evals"), *map(str, arguments)]
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "HOME": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        return done.stdout

    listed = run("list", "prompts")
    assert "parks" in listed and "physics" in listed
    where = "import evals; print(evals.__file__)"
    env = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(site))
    from evals.video import encode
    from tests.conftest import ball

    (tmp_path / "clips").mkdir()
    encode(tmp_path / "clips" / "0.mp4", ball(), 8)
    (tmp_path / "clips" / "videos.jsonl").write_text('{"path": "0.mp4", "prompt": "a disc"}\n')
    assert "1 of 1 samples ok" in run("run", "--generator", "folder:clips")
    assert "report: " in run("compare", "runs/clips", "--out", "report")
    assert 'id="grid"' in (tmp_path / "report" / "index.html").read_text()
    assert len(list((tmp_path / "report" / "media").glob("*.mp4"))) == 1
    assert "report: " in run("demo", "--out", "demo", "--per-set", 1, "--videos", 0)


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- test command -->\n```sh\n(.*?)\n```", readme, re.S)
    assert block is not None
    printed = subprocess.run(
        ["bash", ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert printed.stdout.strip() == block[1].strip()


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path: Path) -> None:
    from evals.generators import create
    from evals.records import Prompt, Request
    from evals.video import encode
    from tests.conftest import ball

    model, suite = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    own = tmp_path / "own.py"
    own.write_text(model)
    made = create(f"python:{own}:generate", {})
    assert made.generate(Request(prompt=Prompt(id="p", text="a disc")), tmp_path / "v.mp4").status == "ok"
    assert model.split("frames=16)")[1] in (ROOT / "examples" / "my_model.py").read_text().replace(
        "  # type: ignore[no-untyped-def]", ""
    )
    for seed, name in enumerate(("modelA", "modelB")):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        for number in range(2):
            encode(folder / f"000{number}.mp4", ball(seed=seed + 7 * number), 8)
    # Line by line as a notebook runs it: no guard around it, and nothing named `__main__` to import again.
    check = suite + "\nassert list(result.summary.columns) == ['A', 'B'] and len(result.pairs) > 5"
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "reports" / "a-vs-b" / "index.html").exists()


def test_the_version_has_a_changelog_entry() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "docs" / "changelog.md").read_text()


def test_every_metric_and_suite_is_documented() -> None:
    from evals.metrics import METRICS, suites

    text = (ROOT / "docs" / "metrics.md").read_text()
    for name in METRICS:
        assert f"`{name}" in text, name
    for suite in suites.names():
        assert f"`{suite}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(ROOT.glob("evals/**/*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short_and_begin_with_a_docstring(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    assert lines[0].startswith('"""')
