"""Where and when a run was generated, and where and when it was scored: both are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.metrics.base import PromptFields
from evals.records import Prompt
from evals.runs.folder import RunFolder
from tests.conftest import Cli
from tests.helpers import edit_run


def test_scoring_elsewhere_keeps_where_a_run_was_generated(scored: Path, cli: Cli) -> None:
    path = scored / "run.json"
    info = json.loads(path.read_text())
    made, measured = info["generated"], info["scored"]["native"]
    assert (
        made["hardware"] and made["versions"] and made["started"] <= made["finished"] <= measured["finished"]
    )
    made["hardware"] = {**made["hardware"], "cpu": "a machine with GPUs"}
    edit_run(scored, lambda data: data.update(generated=made))
    assert cli("score", scored, "--metrics", "sharpness").code == 0
    assert cli("score", scored, "--metrics", "sharpness", "--normalize", "fps=4,seconds=1").code == 0
    found = RunFolder(scored).info
    assert found.generated is not None and found.generated.hardware["cpu"] == "a machine with GPUs"
    assert set(found.scored) == {"native", "fps=4,seconds=1"}
    assert all(one.hardware.get("cpu") != "a machine with GPUs" for one in found.scored.values())


def test_a_run_of_the_first_schema_is_refused_with_what_to_do(scored: Path, cli: Cli) -> None:
    edit_run(scored, lambda data: data.update(schema=1))
    done = cli("score", scored, "--metrics", "sharpness")
    assert done.code == 2 and "schema 1" in done.err and "run.json" in done.err, done.err


def test_prompts_are_kept_once_whatever_is_added(scored: Path, cli: Cli) -> None:
    before = sorted(p.name for p in (scored / "prompts").iterdir())
    assert cli("score", scored, "--metrics", "sharpness").code == 0
    assert sorted(p.name for p in (scored / "prompts").iterdir()) == before and len(before) == 1
    assert "a disc" not in (scored / "run.json").read_text()


def test_a_metric_sees_only_the_prompt_fields_that_it_declares() -> None:
    fields = PromptFields(Prompt(id="p", text="a dog", category="animals"), ("text",))
    assert fields.text == "a dog"
    with pytest.raises(AttributeError, match="does not declare it in `reads`"):
        _ = fields.category
