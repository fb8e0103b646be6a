"""Prompt sets as YAML, in the layout of the standard sets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from evals.records import PromptSet

WIDTH = 120
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_RESOLVER: Any = yaml.resolver.Resolver()
_TEXT = "tag:yaml.org,2002:str"
_PLAIN = re.compile(r"[A-Za-z0-9][^?:#\[\]{},\"'&*!|>%@`\\\x00-\x1f\x7f-\xa0]*")


def dump(found: PromptSet) -> str:
    """A set as YAML text that `load` reads as the same set: a key or a question on every line."""
    fields = found.to_json()
    prompts = fields.pop("prompts")
    order = ("name", "version", "description", "licence", "rules", "subsets")
    head = {"name": found.name, "version": found.version} | fields
    out = [_line("", key, head[key]) for key in order if key in head]
    out.append("prompts:")
    for prompt in prompts:
        for question in prompt.get("questions", []):
            if len(question.get("depends_on", [])) == 1:
                question["depends_on"] = question["depends_on"][0]
        lines = [_line("    ", key, value) for key, value in prompt.items()]
        lines[0] = "  - " + lines[0].lstrip()
        out += lines
    return "\n".join(out) + "\n"


def _line(indent: str, key: str, value: Any) -> str:
    """A key with its value, in one line where it fits and is no list of questions."""
    key = _scalar(key, False)
    flow = f"{indent}{key}: {_flow(value, top=True)}"
    if isinstance(value, Mapping) and len(flow) > WIDTH:
        return "\n".join([f"{indent}{key}:", *(_line(f"{indent}  ", k, v) for k, v in value.items())])
    if not isinstance(value, list) or (len(flow) <= WIDTH and key != "questions"):
        return flow
    return "\n".join([f"{indent}{key}:", *(f"{indent}  - {_flow(item)}" for item in value)])


def _flow(value: Any, top: bool = False) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(k, False)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value, top) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str, top: bool) -> str:
    """A text without quotes where YAML reads it as that text."""
    plain = _PLAIN.fullmatch(text.replace(", ", " ") if top else text)
    if plain and not text.endswith(" ") and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
