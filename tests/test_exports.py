"""The exports: each read by what its readers use, or checked against what the format asks for."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from evals.compare import Comparison
from evals.records import ALL
from evals.report.exports import export, hugging_face, latex
from evals.report.exports.naming import file_names
from tests.test_figures import of

AGGREGATE: dict[str, Any] = {
    "type": "object",
    "required": ["schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info",
                 "eval_library", "evaluation_results"],
    "properties": {
        "retrieved_timestamp": {"type": "string", "pattern": r"^\d+$"},
        "source_metadata": {
            "required": ["source_type", "source_organization_name", "evaluator_relationship"],
            "properties": {"source_type": {"enum": ["documentation", "evaluation_run"]}},
        },
        "eval_library": {"required": ["name", "version"]},
        "model_info": {
            "required": ["name", "id"],
            "properties": {"additional_details": {"additionalProperties": {"type": "string"}}},
        },
        "detailed_evaluation_results": {"properties": {
            "format": {"enum": ["jsonl", "json"]}, "hash_algorithm": {"enum": ["sha256", "md5"]},
            "total_rows": {"type": "integer"}}},
        "evaluation_results": {"type": "array", "minItems": 1, "items": {
            "required": ["evaluation_name", "source_data", "metric_config", "score_details"],
            "properties": {
                "source_data": {"required": ["dataset_name", "source_type"],
                                "properties": {"source_type": {"enum": ["url", "hf_dataset", "other"]}}},
                "metric_config": {
                    "required": ["lower_is_better"],
                    "properties": {"lower_is_better": {"type": "boolean"},
                                   "additional_details": {"additionalProperties": {"type": "string"}}},
                    "if": {"properties": {"score_type": {"const": "continuous"}}, "required": ["score_type"]},
                    "then": {"required": ["min_score", "max_score"]},
                },
                "score_details": {"required": ["score"], "properties": {
                    "score": {"type": "number"},
                    "details": {"additionalProperties": {"type": "string"}},
                    "uncertainty": {"properties": {
                        "num_samples": {"type": "integer"},
                        "confidence_interval": {"required": ["lower", "upper"], "properties": {
                            "confidence_level": {"minimum": 0, "maximum": 1}}}}}}},
            }}},
    },
}  # fmt: skip
"""What Every Eval Ever's `eval.schema.json` asks of an aggregate record, in our own words."""


def test_every_eval_ever_records_hold_interval_count_and_direction(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    found = of({"a": 0.0, "../b c": 3.0})
    paths = export(found, "every-eval-ever", tmp_path)
    assert all(path.parent == tmp_path / "every-eval-ever" for path in paths) and len(paths) == 4
    for path, run in zip(paths[::2], found.labels, strict=True):
        record = json.loads(path.read_text())
        jsonschema.Draft7Validator(AGGREGATE).validate(record)
        assert record["model_info"]["name"] == run
        results = {one["evaluation_name"]: one for one in record["evaluation_results"]}
        assert not results["m"]["metric_config"]["lower_is_better"]
        assert results["n"]["metric_config"]["lower_is_better"]
        mean = next(m for m in found.means if (m.run, m.metric, m.category) == (run, "m", ALL))
        details = results["m"]["score_details"]
        assert details["score"] == mean.mean and details["uncertainty"]["num_samples"] == 24
        bounds = details["uncertainty"]["confidence_interval"]
        assert (bounds["lower"], bounds["upper"]) == (mean.ci_low, mean.ci_high)
        assert bounds["confidence_level"] == 0.95
        held = record["detailed_evaluation_results"]
        lines = (path.parent / held["file_path"]).read_bytes()
        assert hashlib.sha256(lines).hexdigest() == held["checksum"]
        assert lines.count(b"\n") == held["total_rows"] == 24
        first = json.loads(lines.splitlines()[1])
        assert first["sample_id"] == "p-1/0" and first["scores"].keys() == {"m", "n"}


def test_hugging_face_entries_are_read_by_its_own_library(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    found = of({"a": 0.0, "b": 3.0})
    [path, _] = export(found, "hugging-face", tmp_path)
    entries = yaml.safe_load(path.read_text())
    parsed = hub.parse_eval_result_entries(entries)
    assert [one.task_id for one in parsed] == ["m", "n"]
    assert {one.dataset_id for one in parsed} == {hugging_face.DATASET}
    assert hub.eval_result_entries_to_yaml(parsed) == entries
    assert parsed[0].notes.startswith("mean over 24 prompts, 24 videos, 95 % [")


def test_parquet_is_what_the_tables_are(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    found = of({"a": 0.0, "b": 3.0})
    paths = {path.stem: path for path in export(found, "parquet", tmp_path)}
    assert set(paths) == {
        "scores", "means", "pairs", "standings", "categories", "distributions", "parts", "problems",
    }  # fmt: skip
    pairs = pd.read_parquet(paths["pairs"])
    assert list(pairs["metric"]) == [p.metric for p in found.pairs]
    assert list(pairs["difference"]) == [p.difference for p in found.pairs]
    assert pd.read_parquet(paths["scores"])["value"].sum() == pytest.approx(found.scores["value"].sum())


def test_latex_is_a_table_and_nothing_of_a_user_is_markup() -> None:
    text = latex.render(of({"a_1": 0.0, r"50% & {\input{x}} $y$": 3.0}))
    assert text.count(r"\begin{tabular}{lrr}") == 1 == text.count(r"\end{tabular}")
    assert r"a\_1" in text and r"50\% \& \{\textbackslash{}input\{x\}\} \$y\$" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert all(len(re.findall(r"(?<!\\)&", row)) == 2 for row in rows) and len(rows) == 3
    assert sum(r"\textbf" in row for row in rows) == 2  # b is better on both


def test_schema_is_named(tmp_path: Path) -> None:
    found: Comparison = of({"a": 0.0})
    [path, _] = export(found, "every-eval-ever", tmp_path)
    assert json.loads(path.read_text())["schema_version"] == "0.3.0"


def test_names_of_files_are_short_and_differ_in_more_than_case() -> None:
    names = file_names(["a", "A", "x" * 240, "..", "b/c", "plain"])
    assert len({name.lower() for name in names}) == 6 and max(map(len, names)) < 100
    assert names[-1] == "plain" and not any("/" in name or name.startswith(".") for name in names)
