"""Prompt sets in the formats of other suites: VBench, VBench-2.0, EvalCrafter, T2V-CompBench, FETV, VideoPhy,
Physics-IQ, and plain lists."""

from __future__ import annotations

from pathlib import Path

from evals.prompts.readers.common import encodable, listed
from evals.prompts.readers.json_files import VBENCH_TAG, read_json
from evals.prompts.readers.lines import json_lines, lines
from evals.prompts.readers.tables import table
from evals.records import PromptSet

__all__ = ["VBENCH_TAG", "encodable", "listed", "read_other"]

BY_ENDING = {".json": read_json, ".jsonl": json_lines, ".txt": lines, ".csv": table}


def read_other(path: Path) -> PromptSet | None:
    """A set in another suite's format, by the file's ending; None for our own YAML. Raises `PromptError`."""
    reader = BY_ENDING.get(path.suffix.lower())
    return reader(path) if reader else None
