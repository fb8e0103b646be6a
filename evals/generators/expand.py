"""Prompt rewriting as a recorded step: `--expand openai-chat:MODEL[@URL]`.

The generator gets the rewritten words, metrics score against the original, and both are recorded. A prompt is
rewritten once per run and kept in `expansions.jsonl`, so that every seed gets the same words.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.errors import Reason, UsageError
from evals.generators.base import Generation, Generator, Probe, failed
from evals.generators.jobs import TRIES
from evals.records import PromptSet, Request, Settings, Spec, digest
from evals.remote.client import Client, key_from
from evals.remote.outcomes import Rejected, Unknown
from evals.runs.journal import Journal, read

KEY = "OPENAI_API_KEY"
BASE = "https://api.openai.com/v1"
INSTRUCTIONS = (
    "You rewrite prompts for a text-to-video model. Keep every subject, count, colour, action, place and"
    " camera movement that is named, and add what a camera would see: light, setting, textures, how things"
    " move. Don't add subjects or events. Answer with the new prompt alone, in one paragraph of at most 120"
    " words."
)
LONGEST = 20_000  # characters
PAUSE, LONGEST_PAUSE = 1.0, 600.0


class Chat:
    """A model behind `POST /chat/completions`: `openai-chat:MODEL`, or `openai-chat:MODEL@URL` for another
    server than OpenAI's. The key is $OPENAI_API_KEY, which is sent to OpenAI only; another server's is
    $OPENAI_CHAT_API_KEY. Temperature 0."""

    def __init__(self, argument: str) -> None:
        self.model, at, base = argument.rpartition("@")
        if not at:
            self.model, base = argument, BASE
        if not self.model:
            raise UsageError(f"--expand openai-chat:{argument}: names no model")
        key = key_from(None, KEY if base == BASE else "OPENAI_CHAT_API_KEY", needed=base == BASE)
        self.client = Client(base, key)
        params = {"model": self.model, "server": self.client.base, "instructions": digest(INSTRUCTIONS)}
        self.spec = Spec(name="openai-chat", version=1, params={**params, "temperature": 0})

    def rewrite(self, text: str) -> str:
        """Other words for a prompt. Raises `Rejected` or `Unknown`."""
        messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}]
        body = {"model": self.model, "messages": messages, "temperature": 0}
        answer = self.client.submit(f"{self.client.base}/chat/completions", json=body)
        try:
            found = answer["choices"][0]["message"]["content"].strip()
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Unknown("an answer without a message") from None
        if not found or len(found) > LONGEST:
            raise Unknown(f"an answer of {len(found)} characters")
        return str(found)


def expander(name: str) -> Chat:
    """From `openai-chat:MODEL[@URL]`. Raises `UsageError`."""
    kind, colon, argument = name.partition(":")
    if kind != "openai-chat" or not colon:
        raise UsageError(f"--expand {name}: write openai-chat:MODEL or openai-chat:MODEL@URL")
    return Chat(argument)


class Expanded(Generator):
    """A generator that is given rewritten prompts; everything else is the inner one's."""

    def __init__(self, inner: Generator, chat: Chat) -> None:
        if inner.existing:
            raise UsageError(f"{inner.label}: its clips exist already; --expand is for what makes videos")
        self._inner, self._chat = inner, chat
        self.label, self.accepts, self.price = inner.label, inner.accepts, inner.price
        self.concurrency, self.waits, self.batch = inner.concurrency, inner.waits, inner.batch
        params = {**inner.spec.params, "expand": chat.spec.to_json()}
        self.spec = Spec(name=inner.spec.name, version=inner.spec.version, params=params)
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._journal: Journal | None = None
        self._stopping = threading.Event()

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

    def begin(self, folder: Path, probe: Probe) -> None:
        """Read the prompts that were rewritten in this run before."""
        path = folder / "expansions.jsonl"
        for _, record in read(path):
            if record.get("spec") == self._chat.spec.digest:
                self._known[str(record["text"])] = str(record["sent"])
        self._journal = Journal(path)
        self._inner.begin(folder, probe)

    def generate(self, request: Request, out: Path) -> Generation:
        try:
            sent = self._words(request.prompt.text)
        except (Rejected, Unknown) as error:
            message = f"the prompt could not be rewritten: {error}"
            return failed(Reason.REWRITE_FAILED, message, transient=True)
        made = self._inner.generate(_with_words(request, sent), out)
        return replace(made, details={**made.details, "sent": sent})

    def generate_batch(self, requests: Sequence[Request], outs: Sequence[Path]) -> list[Generation]:
        sent = [self._words(r.prompt.text) for r in requests]
        given = [_with_words(request, text) for request, text in zip(requests, sent, strict=True)]
        made = self._inner.generate_batch(given, outs)
        return [replace(m, details={**m.details, "sent": text}) for m, text in zip(made, sent, strict=True)]

    def stop(self) -> None:
        """Have threads that wait come back."""
        self._stopping.set()
        self._chat.client.stop()
        self._inner.stop()

    def _words(self, text: str) -> str:
        with self._lock:  # a prompt's seeds come at once; it is rewritten once
            for attempt in range(TRIES):
                if text in self._known:
                    return self._known[text]
                try:
                    sent = self._chat.rewrite(text)
                except (Rejected, Unknown) as error:
                    # A rewriting is cheap: one whose outcome is unknown may be asked for again.
                    if attempt == TRIES - 1 or (isinstance(error, Rejected) and not error.again):
                        raise
                    after = error.after if isinstance(error, Rejected) else None
                    pause = PAUSE * 2**attempt if after is None else after
                    if self._stopping.wait(min(pause, LONGEST_PAUSE)):
                        raise
                    continue
                if self._journal is not None:
                    spec = self._chat.spec.digest
                    self._journal.append({"spec": spec, "text": text, "sent": sent})
                self._known[text] = sent
        return self._known[text]

    def close(self) -> None:
        """Close the journal and whatever the generator holds."""
        self._chat.client.close()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._inner.close()


def _with_words(request: Request, text: str) -> Request:
    """The request with other words for its prompt."""
    prompt = request.prompt.model_copy(update={"text": text})
    return request.model_copy(update={"prompt": prompt})
