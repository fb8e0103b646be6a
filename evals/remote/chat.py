"""A language model behind `POST /chat/completions`: how it is named, and one that is asked for words."""

from __future__ import annotations

from dataclasses import dataclass

from evals.errors import UsageError
from evals.records import Spec, digest
from evals.remote.client import Client, key_from
from evals.remote.outcomes import Unknown
from evals.remote.pacing import Pacing, Stopped

KIND = "openai-chat"
KEY, OTHER_KEY = "OPENAI_API_KEY", "OPENAI_CHAT_API_KEY"
BASE = "https://api.openai.com/v1"
LONGEST = 20_000  # characters


@dataclass(frozen=True)
class Endpoint:
    """A model on a server. The key is $OPENAI_API_KEY, which is sent to OpenAI only; another server's is
    $OPENAI_CHAT_API_KEY."""

    model: str
    base: str
    key: str

    @classmethod
    def named(cls, argument: str, option: str, key_env: str | None = None) -> Endpoint:
        """From `MODEL` or `MODEL@URL`; `option` is where the name was given. Raises `UsageError`."""
        model, at, base = argument.rpartition("@")
        if not at:
            model, base = argument, BASE
        if not model:
            raise UsageError(f"{option} {KIND}:{argument}: names no model; write {KIND}:MODEL@URL")
        ours = base == BASE
        return cls(model, base, key_from(key_env, KEY if ours else OTHER_KEY, needed=ours or bool(key_env)))


class Chat:
    """`openai-chat:MODEL`, or `openai-chat:MODEL@URL` for another server than OpenAI's, with the
    `instructions` that every question comes with, at temperature 0. `option` is where the name was given.
    Raises `UsageError`."""

    def __init__(self, name: str, instructions: str, option: str) -> None:
        kind, colon, argument = name.partition(":")
        if kind != KIND or not colon:
            raise UsageError(f"{option} {name}: write {KIND}:MODEL or {KIND}:MODEL@URL")
        endpoint = Endpoint.named(argument, option)
        self.model = endpoint.model
        self.client, self._instructions = Client(endpoint.base, endpoint.key), instructions
        params = {"model": self.model, "server": self.client.base, "instructions": digest(instructions)}
        self.spec = Spec(name=KIND, version=1, params={**params, "temperature": 0})
        self._pacing = Pacing()

    def ask(self, text: str) -> str:
        """The model's answer. Asks again where that may help: an answer is cheap. Raises `Rejected` or
        `Unknown`."""
        try:
            return self._pacing.tried(lambda: self._once(text))
        except Stopped:
            raise Unknown("the run is being stopped") from None

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
        self._pacing.stop()
        self.client.stop()

    def close(self) -> None:
        """Close connections."""
        self.client.close()
