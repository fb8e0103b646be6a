"""Generators: what makes (or already made) the videos. Named `kind:argument` on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evals.errors import UsageError
from evals.generators.base import Generation, Generator
from evals.records import Record
from evals.registry import Registry, options_of, with_code

__all__ = ["GENERATORS", "Generation", "Generator", "create", "scalar"]

GENERATORS = Registry(
    "generator",
    {
        "command": "evals.generators.command:Command",
        "diffusers": "evals.generators.diffusion:Diffusers",
        "fal": "evals.generators.fal:Fal",
        "folder": "evals.generators.folder:Folder",
        "openai-videos": "evals.generators.openai_videos:OpenAIVideos",
        "openrouter": "evals.generators.openrouter:OpenRouter",
        "python": "evals.generators.callables:PythonCallable",
        "runway": "evals.generators.runway:Runway",
        "simulated": "evals.generators.simulated:Simulated",
    },
    "evals.generators",
)


def create(name: str, options: Mapping[str, str] | None = None) -> Generator:
    """A generator from `kind:argument` and `-o KEY=VALUE` options, which are typed and checked."""
    options = options or {}
    kind, colon, argument = name.partition(":")
    if not colon or not argument:
        raise UsageError(f"--generator {name}: write KIND:ARGUMENT, such as folder:clips/modelA")
    maker: Any = GENERATORS.get(kind)
    model: type[Record] = getattr(maker, "Options", Record)
    extra: dict[str, str] = {}
    if getattr(maker, "takes_others", False):  # arguments of what it calls, which it checks itself
        extra = {k: v for k, v in options.items() if k not in model.model_fields}
        options = {k: v for k, v in options.items() if k in model.model_fields}
    parsed = options_of(model, options, "-o", kind)
    generator = maker(argument, parsed, extra) if extra else maker(argument, parsed)
    if not isinstance(generator, Generator):
        raise UsageError(f"{kind} is not a generator: its class does not extend evals.Generator")
    return with_code(generator)


def scalar(text: str) -> Any:
    """An option's value as what it reads like: a number, true, false, null, or the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
    return value if isinstance(value, int | float | bool | None) else text
