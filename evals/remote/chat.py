"""A language model behind `POST /chat/completions`, asked at temperature 0."""

from __future__ import annotations

import threading

from evals.errors import UsageError
from evals.records import Spec, digest
from evals.remote.client import Client, key_from
from evals.remote.outcomes import Rejected, Unknown

KIND = "openai-chat"
KEY = "OPENAI_API_KEY"
BASE = "https://api.openai.com/v1"
LONGEST = 20_000  # characters
TRIES = 6
PAUSE, LONGEST_PAUSE = 1.0, 600.0


class Chat:
    """`openai-chat:MODEL`, or `openai-chat:MODEL@URL` for another server than OpenAI's, with the
    `instructions` that every question comes with. The key is $OPENAI_API_KEY, which is sent to OpenAI only;
    another server's is $OPENAI_CHAT_API_KEY. `option` is where the name was given. Raises `UsageError`."""

    def __init__(self, name: str, instructions: str, option: str) -> None:
        kind, colon, argument = name.partition(":")
        if kind != KIND or not colon:
            raise UsageError(f"{option} {name}: write {KIND}:MODEL or {KIND}:MODEL@URL")
        self.model, at, base = argument.rpartition("@")
        if not at:
            self.model, base = argument, BASE
        if not self.model:
            raise UsageError(f"{option} {name}: names no model")
        key = key_from(None, KEY if base == BASE else "OPENAI_CHAT_API_KEY", needed=base == BASE)
        self.client, self._instructions = Client(base, key), instructions
        params = {"model": self.model, "server": self.client.base, "instructions": digest(instructions)}
        self.spec = Spec(name=KIND, version=1, params={**params, "temperature": 0})
        self._stopping = threading.Event()

    def ask(self, text: str) -> str:
        """The model's answer. Asks again where that may help: an answer is cheap. Raises `Rejected` or
        `Unknown`."""
        for attempt in range(TRIES):
            try:
                return self._once(text)
            except (Rejected, Unknown) as error:
                if attempt == TRIES - 1 or (isinstance(error, Rejected) and not error.again):
                    raise
                after = error.after if isinstance(error, Rejected) else None
                pause = PAUSE * 2**attempt if after is None else after
                if self._stopping.wait(min(pause, LONGEST_PAUSE)):
                    raise
        raise AssertionError  # pragma: no cover

    def _once(self, text: str) -> str:
        messages = [{"role": "system", "content": self._instructions}, {"role": "user", "content": text}]
        body = {"model": self.model, "messages": messages, "temperature": 0}
        answer = self.client.submit(f"{self.client.base}/chat/completions", json=body)
        try:
            found = answer["choices"][0]["message"]["content"].strip()
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Unknown("an answer without a message") from None
        if not found or len(found) > LONGEST:
            raise Unknown(f"an answer of {len(found)} characters")
        return str(found)

    def stop(self) -> None:
        """Have threads that wait come back."""
        self._stopping.set()
        self.client.stop()

    def close(self) -> None:
        """Close connections."""
        self.client.close()
