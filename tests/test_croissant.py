"""Prompt sets as Croissant: valid for mlcroissant, and every record is read back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from evals import prompts
from evals.errors import RunError, UsageError
from evals.prompts.croissant import check, export
from evals.records import PromptSet
from tests.conftest import Cli


def small() -> list[PromptSet]:
    """A few prompts of every standard set, with translations, sizes and variants among them."""
    kept = []
    for found in prompts.builtin():
        varied = [p for p in found.prompts[3:] if p.contrast_of or p.counterfactual]
        some = [*found.prompts[:3], *varied][:6]
        subsets = {k: tuple(i for i in ids if i in {p.id for p in some}) for k, ids in found.subsets.items()}
        kept.append(found.model_copy(update={"prompts": tuple(some), "subsets": subsets}))
    return kept


def test_an_export_is_croissant_1_1_and_reads_back_whole(tmp_path: Path) -> None:
    import mlcroissant as mlc

    sets = small()
    page = export(sets, tmp_path / "out")
    data = json.loads(page.read_text())
    assert data["conformsTo"] == "http://mlcommons.org/croissant/1.1" and data["license"] == "Apache-2.0"
    assert data["inLanguage"] == ["en", "de"] and sets[0].digest in data["description"]
    all_prompts = [p for found in sets for p in found.prompts]
    assert check(page) == {
        "prompts": len(all_prompts),
        "subjects": sum(len(p.subjects) for p in all_prompts),
        "questions": sum(len(p.questions) for p in all_prompts),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib, which it uses
        found = mlc.Dataset(jsonld=str(page))
        assert not found.metadata.issues.errors and not found.metadata.issues.warnings
        rows = list(found.records("prompts"))
        asked = list(found.records("questions"))
    assert [row["prompts/text"].decode() for row in rows] == [p.text for p in all_prompts]
    assert [list(row["prompts/tags"]) for row in rows] == [[t.encode() for t in p.tags] for p in all_prompts]
    assert {row["questions/answer"] for row in asked} == {b"yes", b"no"}
    german = json.loads(next(row for row in rows if row["prompts/set"] == b"parks")["prompts/translations"])
    assert german["de"].startswith("Kinder")


def test_a_broken_table_or_page_is_noticed(tmp_path: Path) -> None:
    page = export(small()[:1], tmp_path / "out")
    with pytest.raises(RunError, match=r"holds croissant\.json already"):
        export(small()[:1], tmp_path / "out")
    bare = small()[0].model_copy(update={"licence": ""})
    with pytest.raises(UsageError, match="needs a licence"):
        export([bare], tmp_path / "bare")
    assert not (tmp_path / "bare").exists()
    assert check(export([small()[0], small()[0]], tmp_path / "twice")) == check(page)  # each prompt once
    data = json.loads(page.read_text())
    del data["recordSet"][0]["field"][0]["dataType"]
    page.write_text(json.dumps(data))
    with pytest.raises(Exception, match="dataType"):
        check(page)


def test_the_command_says_what_was_read(cli: Cli, tmp_path: Path) -> None:
    found = cli("prompts", "croissant", "camera", "--out", tmp_path / "camera")
    assert found.code == 0, found.err
    assert "mlcroissant reads 76 prompts" in found.out
    assert cli("prompts", "croissant", "camera", "--out", tmp_path / "camera").code == 2
