"""Generators that are given other words than the prompt's own; metrics read the prompt as it stands."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.errors import UsageError
from evals.generators.base import Generation, Generator, Probe
from evals.records import Prompt, PromptSet, Request, Settings, Spec
from evals.runs.segments import Segments


class Rewording(Generator):
    """A generator whose prompts are replaced by `words`; everything else is the inner one's. `option` is what
    asked for it, and `params` tell which words they are, as a part of the generator's identity."""

    def __init__(self, inner: Generator, option: str, params: dict[str, Any]) -> None:
        if inner.existing:
            raise UsageError(f"{inner.label}: its clips exist already; {option} is for what makes videos")
        self._inner = inner
        self.label, self.accepts, self.price = inner.label, inner.accepts, inner.price
        self.concurrency, self.waits, self.batch = inner.concurrency, inner.waits, inner.batch
        params = {**inner.spec.params, **params}
        self.spec = Spec(name=inner.spec.name, version=inner.spec.version, params=params)

    @abstractmethod
    def words(self, prompt: Prompt) -> str | Generation:
        """What the inner generator is given for a prompt, or why it is given nothing."""

    def plan(
        self, prompts: PromptSet | None, seeds: Sequence[int] | None, settings: Settings
    ) -> list[Request]:
        return self._inner.plan(prompts, seeds, settings)

    def identity(self, request: Request) -> Any:
        return self._inner.identity(request)

    def holdings(self, prompts: PromptSet | None) -> set[tuple[str, int]]:
        return self._inner.holdings(prompts)

    def preflight(self, requests: Sequence[Request], prompts: PromptSet | None) -> str:
        return self._inner.preflight(requests, prompts)

    def begin(self, segments: Segments, probe: Probe) -> None:
        self._inner.begin(segments, probe)

    def generate(self, request: Request, out: Path) -> Generation:
        sent = self.words(request.prompt)
        if isinstance(sent, Generation):
            return sent
        made = self._inner.generate(_with_words(request, sent), out)
        return replace(made, details={**made.details, "sent": sent})

    def generate_batch(self, requests: Sequence[Request], outs: Sequence[Path]) -> list[Generation]:
        sent = [self.words(r.prompt) for r in requests]
        given = [i for i, text in enumerate(sent) if isinstance(text, str)]
        batch = [_with_words(requests[i], str(sent[i])) for i in given]
        made = self._inner.generate_batch(batch, [outs[i] for i in given]) if batch else []
        results = dict(zip(given, made, strict=True))
        return [
            text
            if isinstance(text, Generation)
            else replace(results[i], details={**results[i].details, "sent": text})
            for i, text in enumerate(sent)
        ]

    def stop(self) -> None:
        self._inner.stop()

    def close(self) -> None:
        self._inner.close()


def _with_words(request: Request, text: str) -> Request:
    """The request with other words for its prompt."""
    prompt = request.prompt.model_copy(update={"text": text})
    return request.model_copy(update={"prompt": prompt})
