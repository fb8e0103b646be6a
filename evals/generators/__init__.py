"""Generators: what makes (or already made) the videos. Named `kind:argument` on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from evals.errors import UsageError, nearest
from evals.records import Outcome, Prompt, PromptSet, Record, Request, Spec, explain
from evals.registry import Registry


@dataclass(frozen=True)
class Generation:
    """What became of one request. `path` is the finished video where the outcome is `ok`; `sha256` its
    hash, where the generator knows it already."""

    outcome: Outcome
    path: Path | None = None
    sha256: str | None = None
    reason: str = ""
    transient: bool = False
    cost: float | None = None
    job_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Generator(Protocol):
    """`spec` is the generator's identity; `accepts` names the settings it can follow; `fixed` says that
    its videos exist already, so that its plan is all there is.

    Optional: `concurrency`, how many videos it may be asked for at once, each from a thread of its own
    (default 1; `waits` says that it only waits for others, so that more than there are cores may be asked
    for); `begin(folder)`, called with the run's folder before the first video, where journals of its own may
    lie; `stop()`, called from another thread when a run is interrupted, after which `generate` ends soon;
    `close()`, called when a run has all it wants; `batch` and `generate_batch(requests, outs)`, for
    several videos in one go.
    """

    spec: Spec
    label: str
    accepts: frozenset[str]
    fixed: bool

    def plan(self, prompts: PromptSet | None, seeds: Sequence[int] | None) -> list[tuple[Prompt, int]]:
        """What is to be made, in order: mostly `cross`; a folder knows its own prompts."""
        ...

    def identity(self, prompt: Prompt, seed: int) -> Any:
        """JSON that changes when the same request would give another video (a file's hash, say)."""
        ...

    def generate(self, request: Request, out: Path) -> Generation:
        """Make one video at `out`. An exception is recorded as `failed`, for this sample alone."""
        ...


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


def cross(prompts: PromptSet | None, seeds: Sequence[int] | None) -> list[tuple[Prompt, int]]:
    """Every prompt with every seed (default: seed 0)."""
    if prompts is None:
        raise UsageError("this generator needs prompts: add --prompts NAME or FILE")
    return [(prompt, seed) for prompt in prompts.prompts for seed in (seeds or (0,))]


def create(name: str, options: Mapping[str, str]) -> Generator:
    """A generator from `kind:argument` and `-o KEY=VALUE` options, which are typed and checked."""
    kind, colon, argument = name.partition(":")
    if not colon or not argument:
        raise UsageError(f"--generator {name}: write KIND:ARGUMENT, such as folder:clips/modelA")
    maker: Any = GENERATORS.get(kind)
    model: type[Record] = getattr(maker, "Options", Record)
    extra: dict[str, str] = {}
    if getattr(maker, "takes_others", False):  # arguments of what it calls, which it checks itself
        extra = {k: v for k, v in options.items() if k not in model.model_fields}
        options = {k: v for k, v in options.items() if k in model.model_fields}
    for key in options:
        if key not in model.model_fields:
            known = ", ".join(model.model_fields) or "none"
            raise UsageError(
                f"-o {key}: {kind} has no such option{nearest(key, model.model_fields)} (known: {known})"
            )
    try:
        parsed = model.model_validate(dict(options))
    except ValidationError as error:
        raise UsageError(f"-o: {explain(error)}") from None
    generator: Generator = maker(argument, parsed, extra) if extra else maker(argument, parsed)
    return generator


def scalar(text: str) -> Any:
    """An option's value as what it reads like: a number, true, false, null, or the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
    return value if isinstance(value, int | float | bool | None) else text
