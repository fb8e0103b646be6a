"""VBench's prompts, dimensions, ranges and result files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from evals import prompts
from evals.compare import vbench
from evals.errors import PromptError
from evals.records import digest
from tests.conftest import Cli, MakeClips


def test_the_prompts_of_every_dimension_are_known(assets: Path) -> None:
    found = prompts.load(assets / "formats" / "VBench_full_info.json")
    assert len(found.prompts) == 944 and len({p.id for p in found.prompts}) == 944
    for dimension, (_, _, count, known) in vbench.DIMENSIONS.items():
        texts = [p.text for p in found.prompts if f"vbench:{dimension}" in p.tags]
        assert len(texts) == count and digest(sorted(texts)) == known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "is no prompt set"),
        ("{", "not valid JSON"),
        ('[{"prompt_en": "x"}]', ":1: an entry lacks"),
        ('[{"prompt_en": " ", "dimension": ["scene"]}]', ":1: an entry needs its words"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "set.json"
    path.write_text(text)
    with pytest.raises(PromptError, match=message):
        prompts.load(path)


def test_other_prompts_are_no_vbench_score(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(2)
    generator = ("--generator", f"folder:{made.folder}", "--out", tmp_path)
    assert cli("run", *generator, "--metrics", "temporal_flicker,sharpness").code == 0
    report = tmp_path / "report"
    base = ("compare", tmp_path / "a", "--vbench", "--out", report, "--videos", "0")
    found = cli(*base)
    assert found.code == 0 and "not a VBench score" in found.out
    assert found.out.count("missing") == 15  # all dimensions but the one that was scored
    table = pd.read_csv(report / "vbench.csv")
    assert table["value"].notna().sum() == 1 and not (table["value"] == 0).any()
    row = table[table["dimension"] == "temporal_flickering"].iloc[0]
    assert row["normalized"] == pytest.approx((row["value"] - 0.6293) / (1 - 0.6293), abs=1e-9)
    refused = cli(*base, "--submission", tmp_path / "sent")
    assert refused.code == 2 and "not a VBench score" in refused.err and not (tmp_path / "sent").exists()
    alone = cli("compare", tmp_path / "a", "--submission", tmp_path / "sent", "--out", report)
    assert alone.code == 2 and "--vbench" in alone.err


def test_vbenchs_own_prompts_can_be_submitted(
    assets: Path, clips: MakeClips, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = assets / "formats" / "VBench_full_info.json"
    still = [p for p in prompts.load(info).prompts if "vbench:temporal_flickering" in p.tags]
    made = clips("b").write(1)
    made.manifest([{"path": "0-0.mkv", "prompt": p.text, "prompt_id": p.id, "seed": 0} for p in still])
    base = ("run", "--generator", f"folder:{made.folder}", "--prompts", info, "--out", tmp_path)
    ids = [x for p in still for x in ("--prompt-id", p.id)]
    assert cli(*base, *ids, "--metrics", "temporal_flicker").code == 0
    compare = (
        "compare",
        tmp_path / "b",
        "--vbench",
        "--out",
        tmp_path / "r",
        "--videos",
        "0",
    )
    few = cli(*compare, "--submission", tmp_path / "sent")
    assert few.code == 2 and "1 of 25 samples a prompt" in few.err and not (tmp_path / "sent").exists()
    monkeypatch.setitem(vbench.SAMPLES, "temporal_flickering", 1)
    found = cli(*compare, "--submission", tmp_path / "sent")
    assert found.code == 0 and "not a VBench score" not in found.out
    assert [p.name for p in (tmp_path / "sent").iterdir()] == ["temporal_flickering_eval_results.json"]
    data = json.loads((tmp_path / "sent" / "temporal_flickering_eval_results.json").read_text())
    mean, videos = data["temporal_flickering"]
    assert len(videos) == 75 and mean == pytest.approx(sum(v["video_results"] for v in videos) / 75)
