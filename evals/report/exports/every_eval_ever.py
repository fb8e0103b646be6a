"""Every Eval Ever (evaleval/every_eval_ever): one aggregate record per model, and one line per video.

The aggregate record follows the project's `eval.schema.json`. Its instance records are of texts, so our
lines per video are an extension: docs/exports.md says what they hold."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.compare import Comparison, RunScores
from evals.compare.results import Distribution, Mean, RunSummary
from evals.records import ALL, MetricInfo, digest
from evals.report.exports.naming import file_names
from evals.report.recipe import recipe
from evals.runs.journal import write_atomically

SCHEMA = "0.3.0"
LEVEL = 0.95
SIGN_FLIP, JACKKNIFE = "bootstrap over prompts", "jackknife over prompts"


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """`every-eval-ever/MODEL.json` and `MODEL.jsonl`, for every model."""
    place = folder / "every-eval-ever"
    place.mkdir(exist_ok=True)
    recipes = recipe(comparison)["runs"]
    written = []
    names = file_names(comparison.labels)
    for run, summary, name in zip(comparison.sources, comparison.runs, names, strict=True):
        lines = _lines(comparison, run)
        write_atomically(place / f"{name}.jsonl", lines)
        record = _record(comparison, summary, recipes[run.label])
        record["detailed_evaluation_results"] = {
            "format": "jsonl", "file_path": f"{name}.jsonl", "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(lines).hexdigest(), "total_rows": lines.count(b"\n"),
            "additional_details": {"extension": "t2v-evals video instances, version 1"},
        }  # fmt: skip
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(place / f"{name}.json", text.encode())
        written += [place / f"{name}.json", place / f"{name}.jsonl"]
    return written


def _record(comparison: Comparison, run: RunSummary, made: dict[str, Any]) -> dict[str, Any]:
    when = run.scored.finished if run.scored is not None else "1970-01-01T00:00:00+00:00"
    stamp = f"{datetime.fromisoformat(when).timestamp():.0f}"
    prompts = made["prompts"]
    generator = made["generator"]
    source = {
        "dataset_name": f"prompts {prompts['digest']}", "source_type": "other",
        "additional_details": {"prompts": str(prompts["count"]), "seeds": prompts["seeds"]},
    }  # fmt: skip
    results = [_of_mean(comparison.metrics[m.metric], m, source) for m in comparison.means
               if m.run == run.run and m.category == ALL and m.mean is not None
               and comparison.metrics[m.metric].kind != "distribution"]  # fmt: skip
    results += [_of_distance(comparison.metrics[d.metric], d, source) for d in comparison.distributions
                if d.run == run.run and d.value is not None]  # fmt: skip
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"t2v-evals/{run.run}/{stamp}",
        "dedupe_identity": {"run_fingerprint": digest(made), "hash_algorithm": "sha256",
                            "canonicalization_version": "canonical JSON, first 128 bits"},
        "evaluation_timestamp": when,
        "retrieved_timestamp": stamp,
        "source_metadata": {"source_type": "evaluation_run", "source_organization_name": "unknown",
                            "evaluator_relationship": "other", "source_name": "t2v-evals"},
        "eval_library": {"name": "t2v-evals", "version": importlib.metadata.version("t2v-evals")},
        "model_info": {
            "name": run.run, "id": str(generator.get("label", run.run)),
            "additional_details": _texts({
                "normalization": comparison.normalization, "samples_planned": run.samples_planned,
                "samples_ok": run.samples_ok, "generator": generator.get("params", {}),
                "settings": made.get("settings", {}),
            }),
        },
        "evaluation_results": results,
    }  # fmt: skip


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {key: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for key, v in values.items()}


def _result(info: MetricInfo, source: dict[str, Any], score: float, details: dict[str, Any],
            uncertainty: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
    config: dict[str, Any] = {
        "lower_is_better": info.direction == "lower",
        "evaluation_description": info.source,
    }
    if info.low is not None and info.high is not None:
        config |= {"score_type": "continuous", "min_score": info.low, "max_score": info.high}
    config["additional_details"] = _texts({
        "direction": info.direction, "aspect": info.aspect, "role": info.role, "version": info.spec.version,
        "unit": info.unit, "note": info.note, "rewarded_by": list(info.rewarded_by),
        "extractors": {need: spec.digest for need, spec in info.extractors.items()},
    })  # fmt: skip
    return {
        "evaluation_name": info.id, "source_data": source, "metric_config": config,
        "score_details": {"score": score, "details": _texts(details), "uncertainty": uncertainty},
    }  # fmt: skip


def _of_mean(info: MetricInfo, mean: Mean, source: dict[str, Any]) -> dict[str, Any]:
    assert mean.mean is not None
    counts = mean.model_dump(include={"n_ok", "n_failed", "n_skipped", "n_refused", "n_missing", "n_prompts"})
    return _result(
        info, source, mean.mean, counts, _interval(mean.ci_low, mean.ci_high, mean.n_ok, SIGN_FLIP)
    )


def _of_distance(info: MetricInfo, one: Distribution, source: dict[str, Any]) -> dict[str, Any]:
    assert one.value is not None
    details = {"reference": one.reference, "n_reference": one.n_reference, "protocol": one.protocol}
    return _result(info, source, one.value, details, _interval(one.ci_low, one.ci_high, one.n, JACKKNIFE))


def _interval(low: float | None, high: float | None, n: int, method: str) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": n}
    if low is not None and high is not None:
        found["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": LEVEL,
            "method": method,
        }
    return found


def _lines(comparison: Comparison, run: RunScores) -> bytes:
    """A line per sample: its prompt, seed, video's hash and scores."""
    values = {
        at: dict[str, float]() for at in zip(run.samples["prompt_id"], run.samples["seed"], strict=True)
    }
    scores = run.scores[(run.scores["status"] == "ok") & run.scores["metric"].isin(list(comparison.metrics))]
    for p, s, metric, value in scores[["prompt_id", "seed", "metric", "value"]].itertuples(index=False):
        values[p, s][str(metric)] = float(value)
    lines = []
    for p, s, status, sha256 in run.samples[["prompt_id", "seed", "status", "sha256"]].itertuples(
        index=False
    ):
        line = {
            "sample_id": f"{p}/{s}", "prompt_id": p, "prompt": run.prompts[p].text, "seed": int(s),
            "category": run.prompts[p].category, "status": status,
            "video_sha256": sha256 if isinstance(sha256, str) else None, "scores": values[p, s],
        }  # fmt: skip
        lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(lines).encode()
