"""The tutorials of docs/, as a reader follows them: their files are written, their commands run in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Clips, call

PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)


def test_there_is_one_for_each_kind_of_component() -> None:
    assert [page.stem for page in PAGES] == [
        "add-a-figure", "add-a-generator", "add-a-judge", "add-a-metric", "add-an-encoder",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.slow
def test_a_tutorial_works_as_it_stands(page: Path, tmp_path: Path) -> None:
    for name in ("modelA", "modelB"):
        clips = Clips(tmp_path / "clips" / name).write(prompts=3, step=2.0 if name == "modelA" else 3.0)
        clips.manifest([{**row, "prompt": f"a red {row['prompt']}"} for row in clips.rows()])
    ran = checked = 0
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            named = re.match(r"# (\w+\.py)\n", text)
            assert named, f"{page.name}: a block of Python names its file in its first line"
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
            if named[1].startswith("check_"):
                check = [sys.executable, named[1]]
                done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                checked += 1
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line, comments=True)
            assert program == "t2v-evals"
            found = call(*arguments, cwd=tmp_path)
            assert found.code == 0, f"{line}\n{found.err}"
            ran += 1
    assert ran >= 2 or checked


@pytest.mark.parametrize(
    "line",
    re.findall(
        r"^(?:\.venv/bin/)?python -c '([^']+)'$",
        (ROOT / "docs" / "api.md").read_text(encoding="utf-8"),
        re.M,
    ),
)
def test_a_one_liner_of_the_api_page_runs(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(line, {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()
