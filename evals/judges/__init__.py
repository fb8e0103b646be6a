"""Judges: models that answer questions about videos. Named `kind:argument` in a metric's brackets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.errors import UsageError
from evals.judges.base import Ask, Judge, JudgeOptions, Reply, Sight
from evals.registry import Registry, options_of, with_code

__all__ = ["JUDGES", "Ask", "Judge", "JudgeOptions", "Reply", "Sight", "create"]

JUDGES = Registry(
    "judge",
    {
        "openai-chat": "evals.judges.openai_chat:OpenAIChat",
        "transformers": "evals.judges.local:Local",
    },
    "evals.judges",
)


def create(name: str, options: Mapping[str, str] | None = None) -> Judge:
    """A judge from `kind:argument` and its options; loads no model and sends nothing. Raises `UnknownName`,
    `UsageError` or `WeightsError`."""
    kind, colon, argument = name.partition(":")
    if not colon or not argument:
        raise UsageError(f"judge {name}: write KIND:MODEL, such as openai-chat:MODEL@URL")
    maker: Any = JUDGES.get(kind)
    made = maker(name, argument, options_of(maker.Options, options or {}, "--judge-option", kind))
    if not isinstance(made, Judge):
        raise UsageError(f"{kind} is not a judge: its class does not extend evals.Judge")
    return with_code(made)
