"""Prompts in another language: `--language de`. The generator gets a prompt's translation, metrics score
against its English text, so that a run in German compares with one in English prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.errors import Reason, UsageError
from evals.generators.base import Generation, Generator, failed
from evals.generators.rewording import Rewording
from evals.records import Prompt, PromptSet, Request, Settings


class Translated(Rewording):
    """A generator that is given prompts in `language`, a code such as `de`; prompts without a translation are
    left out. Raises `UsageError` where no prompt has one."""

    def __init__(self, inner: Generator, language: str) -> None:
        super().__init__(inner, "--language", {"language": language})
        self.language = language

    def plan(
        self, prompts: PromptSet | None, seeds: Sequence[int] | None, settings: Settings
    ) -> list[Request]:
        planned = super().plan(prompts, seeds, settings)
        kept = [request for request in planned if self.language in request.prompt.translations]
        if not kept:
            known = sorted({code for request in planned for code in request.prompt.translations})
            raise UsageError(
                f"--language {self.language}: no prompt has a text in it; there are"
                f" {', '.join(known) or 'no translations'}"
            )
        return kept

    def identity(self, request: Request) -> Any:
        """The words sent are a part of it: a corrected translation makes another video."""
        return [super().identity(request), request.prompt.translations.get(self.language)]

    def preflight(self, requests: Sequence[Request], prompts: PromptSet | None) -> str:
        """How many prompts are left out, before what the inner generator says."""
        given = prompts.prompts if prompts else ()
        lost = sum(self.language not in prompt.translations for prompt in given)
        said = (
            f"{lost} of {len(given)} prompts have no text in {self.language!r} and are left out"
            if lost
            else ""
        )
        return "\n".join(filter(None, (said, super().preflight(requests, prompts))))

    def words(self, prompt: Prompt) -> str | Generation:
        text = prompt.translations.get(self.language)
        return text or failed(Reason.UNUSABLE_PROMPT, f"the prompt has no text in {self.language!r}")
