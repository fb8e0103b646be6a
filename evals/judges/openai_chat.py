"""`openai-chat:MODEL[@URL]`: a video language model behind `/v1/chat/completions`, by the official `openai`
package (the extra `judge`). OpenAI's own endpoint, or any that speaks its protocol: vLLM, SGLang …"""

from __future__ import annotations

import base64
import logging
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import Field, model_validator

from evals.errors import Reason, UsageError
from evals.judges import wording
from evals.judges.base import Ask, Judge, JudgeOptions, Reply, Sight
from evals.judges.parsing import chosen
from evals.remote.budget import cost_of
from evals.remote.chat import BASE, KIND, Endpoint
from evals.remote.client import Client, is_refusal, retry_after, words_of
from evals.remote.outcomes import Rejected, Unknown
from evals.remote.pacing import Pacing, Stopped
from evals.remote.wire import BoundedTransport

logging.getLogger("openai").setLevel(logging.WARNING)  # it would log whole requests

DATED = re.compile(r"[-_@:]20\d\d-?[01]\d-?[0-3]\d(-v\d+(:\d+)?)?$")
"""A name that ends in its release's date, and so means one model for good."""
FATAL = {401, 402, 403, 404}
STRANGERS = 5  # answers of another model, and none of the one asked, after which nobody is asked
AGAIN = {408, 409, 425, 429}
LONGEST = 20_000  # characters of an answer that are kept
TOP = 20  # most probable first tokens that are asked for
LEAST = 0.01  # of a first token's probability that must go to the answers offered


class Unconstrained(Exception):
    """The server takes no schema for its answers."""


class OpenAIChat(Judge):
    """A model behind `POST /v1/chat/completions`: `openai-chat:MODEL@http://127.0.0.1:8000/v1`, or
    `openai-chat:MODEL` for OpenAI's own. Keys: $OPENAI_API_KEY for OpenAI, $OPENAI_CHAT_API_KEY for any
    other server, where it wants one."""

    class Options(JudgeOptions):
        """`temperature`: none for a model that takes no other than its own; `answers`: whether the server is
        held to a JSON schema (`auto`: where it can); `detail` of the pictures; `max_tokens` of an answer;
        `rpm`: requests a minute; `deadline`: seconds for one; `price_in` and `price_out` of a million tokens,
        and `max_cost` of the whole run, in one currency; `key_env`: the environment variable with the key;
        `served`: what the server may call the model in its answers;
        `base_url`: the server, for a name without one. It stands in what a number is tied to unless a
        `revision` says which weights answer, wherever they are served."""

        temperature: Annotated[float, Field(ge=0, le=2)] | Literal["none"] = 0.0
        answers: Literal["auto", "schema", "plain"] = "auto"
        detail: Literal["low", "high", "auto"] = "auto"
        max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 1000
        rpm: Annotated[float, Field(gt=0, le=100_000)] | None = None
        pause: Annotated[float, Field(ge=0, le=600)] = 1.0
        deadline: Annotated[float, Field(gt=0, le=3600)] = 120.0
        price_in: Annotated[float, Field(ge=0)] | None = None
        price_out: Annotated[float, Field(ge=0)] | None = None
        max_cost: Annotated[float, Field(ge=0)] | None = None
        key_env: str | None = None
        base_url: str | None = None
        served: str | None = None

        @model_validator(mode="after")
        def _priced(self) -> Self:
            if (self.price_in is None) != (self.price_out is None):
                raise ValueError("price_in and price_out belong together")
            return self

    waits = True

    def __init__(self, name: str, argument: str, options: Options) -> None:
        super().__init__(name, options)
        self._sdk = _package()
        if options.base_url is not None and "@" not in argument:
            argument = f"{argument}@{options.base_url}"
        endpoint = Endpoint.named(argument, "judge", options.key_env)
        self.model, self.max_cost = endpoint.model, options.max_cost
        self._http = Client(endpoint.base, endpoint.key, options.deadline)
        self._key, self._set = endpoint.key, options
        self._pacing = Pacing(options.pause, options.rpm)
        self._schema = options.answers != "plain"
        self._client: Any = None
        self._strangers: int | None = 0  # None once the model asked has answered
        params = {
            "model": self.model, "server": "" if options.revision else self._http.base,
            "temperature": options.temperature,
            "answers": options.answers, "detail": options.detail, "max_tokens": options.max_tokens,
        }  # fmt: skip
        pinned = bool(options.revision) or bool(DATED.search(self.model))
        self.spec = self.describe(KIND, 1, pinned, **params)

    @property
    def client(self) -> Any:
        if self._client is None:
            # Not OpenAI's: what the environment says of one's account there is nothing to it.
            others = {} if self._http.base == BASE else dict.fromkeys(
                ("OpenAI-Organization", "OpenAI-Project"), self._sdk.Omit()
            )  # fmt: skip
            self._client = self._sdk.OpenAI(
                api_key=self._key or "none", base_url=self._http.base, max_retries=0, default_headers=others,
                http_client=httpx.Client(transport=BoundedTransport(self._http.wire)),
            )  # fmt: skip
        return self._client

    def ask(self, sights: Sequence[Sight], ask: Ask, seed: int) -> Reply:
        try:
            return self._checked(self._pacing.tried(lambda: self._sent(sights, ask, seed)), ask)
        except Stopped:
            return Reply(reason=Reason.STOPPED, message="the run was stopped", transient=True)
        except Unknown as error:
            message = f"{self.model} gives no answer: {error}"
            return Reply(reason=Reason.JUDGE_UNAVAILABLE, message=message, transient=True)
        except Rejected as error:
            reason = Reason.JUDGE_UNAVAILABLE if error.again else Reason.JUDGE_REJECTED
            reason = Reason.ANSWER_REFUSED if error.refusal else reason
            message = f"{self.model} refuses the question: {error}"
            return Reply(reason=reason, message=message, transient=error.again)

    def _sent(self, sights: Sequence[Sight], ask: Ask, seed: int) -> Any:
        """The answer, with a schema where the server takes one. Raises `Rejected` or `Unknown`."""
        constrained = self._schema and not ask.probabilities
        try:
            return self._once(self._body(sights, ask, seed, constrained), ask, constrained)
        except Unconstrained:
            self._schema = False
            return self._once(self._body(sights, ask, seed, False), ask, False)

    def _body(self, sights: Sequence[Sight], ask: Ask, seed: int, constrained: bool) -> dict[str, Any]:
        # Pictures first: a server that keeps what it has read need not read them again for every question.
        content: list[dict[str, Any]] = []
        for number, sight in enumerate(sights, 1):
            for i, (picture, time) in enumerate(zip(sight.pictures, sight.times, strict=True), 1):
                video = number if len(sights) > 1 else None
                said = wording.caption(video, i, len(sight.pictures), time)
                url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
                content.append({"type": "text", "text": said})
                content.append({"type": "image_url", "image_url": {"url": url, "detail": self._set.detail}})
        text = ask.text if ask.probabilities else f"{ask.text}\n{wording.offered(ask.choices)}"
        content.append({"type": "text", "text": text})
        body: dict[str, Any] = {
            "model": self.model, "seed": seed,
            "messages": [
                {"role": "system", "content": wording.SYSTEM},
                {"role": "user", "content": content},
            ],
            "max_completion_tokens": self._set.max_tokens,
        }  # fmt: skip
        if self._set.temperature != "none":
            body["temperature"] = self._set.temperature
        if ask.probabilities:
            body |= {"logprobs": True, "top_logprobs": TOP, "max_completion_tokens": 5}
        if constrained:
            one = {"type": "string", "enum": list(ask.choices)}
            schema = {"type": "object", "properties": {"answer": one}, "required": ["answer"]}
            named = {"name": "answer", "strict": True, "schema": {**schema, "additionalProperties": False}}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _once(self, body: dict[str, Any], ask: Ask, constrained: bool) -> Any:
        sdk = self._sdk
        try:
            answer = self.client.chat.completions.create(**body)
            if not isinstance(getattr(answer, "choices", None), list) or not answer.choices:
                raise Unknown("what came holds no choice; a gateway says so where its model is away")
            return answer
        except sdk.APIStatusError as error:
            raise self._refused(error, ask, constrained) from None
        except sdk.APIConnectionError as error:
            if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
                raise Rejected("no connection", again=True) from None
            raise Unknown(type(error.__cause__ or error).__name__) from None
        except (sdk.APIError, ValueError) as error:
            raise Unknown(f"what came is no answer of this protocol ({type(error).__name__})") from None

    def _refused(self, error: Any, ask: Ask, constrained: bool) -> Exception:
        """What a status other than 200 means. Raises `UsageError` where every question would end so."""
        code, body = error.status_code, error.body
        said = self._http.clean(f"HTTP {code}: {words_of(body) or error.message}")
        refusal = code not in (*AGAIN, 401, 402, 404) and is_refusal(words_of(body), ask.text)
        if code in FATAL and not refusal:
            raise UsageError(f"judge {self.name}: {said}; check the model's name, the address and the key")
        if code == 400 and constrained and self._set.answers == "auto" and _is_about(error, SCHEMA_WORDS):
            return Unconstrained()
        if code >= 500 or 300 <= code < 400:
            return Unknown(said)
        return Rejected(said, again=code in AGAIN, after=retry_after(error.response), refusal=refusal)

    def _checked(self, answer: Any, ask: Ask) -> Reply:
        """The answer's reply, whatever shape the answer has. Raises `UsageError` where another model
        answers all the time."""
        try:
            found = self._read(answer, ask)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            message = f"{self.model} gives an answer of another shape ({type(error).__name__})"
            raw = str(answer)[:LONGEST]
            return Reply(reason=Reason.ANSWER_UNPARSABLE, message=message, raw=raw)
        if found.reason != Reason.OTHER_MODEL:
            self._strangers = None
        elif self._strangers is not None:
            self._strangers += 1
            if self._strangers >= STRANGERS:
                raise UsageError(
                    f"judge {self.name}: {found.model:.80} answers in its place; if that is the same model,"
                    f" add --judge-option served={found.model:.80}"
                )
        return found

    def _read(self, answer: Any, ask: Ask) -> Reply:
        """An answer of the protocol: the choice, or why there is none."""
        found = _facts(answer)
        found["cost"] = self._cost(answer)

        def no(reason: Reason, message: str) -> Reply:
            return Reply(reason=reason, message=f"{self.model} {message}", **found)

        served = found["model"]
        if served and served != self._set.served and not _is_same(self.model, served):
            return no(Reason.OTHER_MODEL, f"was asked, and {served:.80} answers")
        choice = answer.choices[0]
        message = choice.message
        found["raw"] = str(message.content or message.refusal or "")[:LONGEST]
        if message.refusal or choice.finish_reason == "content_filter":
            return no(Reason.ANSWER_REFUSED, f"refuses: {found['raw']:.200}")
        if message.tool_calls or choice.finish_reason in ("tool_calls", "function_call"):
            return no(Reason.ANSWER_UNPARSABLE, "calls a tool in place of an answer")
        if ask.probabilities:
            shares = _probabilities(choice, ask.choices)
            if shares is None:
                return no(Reason.NO_PROBABILITIES, "comes without log-probabilities of its answer's tokens")
            if sum(shares.values()) < LEAST:
                return no(Reason.ANSWER_UNPARSABLE, f"answers with something else: {found['raw']:.80!r}")
            return Reply(choice=max(shares, key=lambda one: shares[one]), probabilities=shares, **found)
        if choice.finish_reason == "length":
            return no(Reason.ANSWER_TRUNCATED, f"was cut off at {self._set.max_tokens} tokens")
        if not found["raw"].strip():
            return no(Reason.ANSWER_EMPTY, "gives an empty answer")
        one = chosen(found["raw"], ask.choices)
        if one is None:
            return no(
                Reason.ANSWER_UNPARSABLE, f"gives none of {', '.join(ask.choices)}: {found['raw']!r:.100}"
            )
        return Reply(choice=one, **found)

    def _cost(self, answer: Any) -> float | None:
        usage, options = getattr(answer, "usage", None), self._set
        if usage is None:
            return None
        if options.price_in is None or options.price_out is None:
            return cost_of((getattr(usage, "model_extra", None) or {}).get("cost"))
        read, written = usage.prompt_tokens, usage.completion_tokens
        if not isinstance(read, int) or not isinstance(written, int):
            return None
        return (read * options.price_in + written * options.price_out) / 1e6

    def stop(self) -> None:
        self._pacing.stop()
        self._http.stop()

    def close(self) -> None:
        self._pacing.start()
        self._http.close()
        if self._client is not None:
            self._client.close()
            self._client = None


SCHEMA_WORDS = ("response_format", "json_schema", "guided", "structured")


def _is_about(error: Any, words: Sequence[str]) -> bool:
    """Whether a rejection names a parameter."""
    said = f"{getattr(error, 'param', '')} {words_of(error.body)} {error.message}".lower()
    return any(word in said for word in words)


def _is_same(asked: str, served: str) -> bool:
    """Whether a server's name for its model is the one that was asked for, or that with its release's
    date."""
    if served == asked:
        return True
    rest = served.removeprefix(asked)
    return rest != served and DATED.fullmatch(rest) is not None


def _facts(answer: Any) -> dict[str, Any]:
    usage = getattr(answer, "usage", None)
    return {
        "model": str(getattr(answer, "model", None) or ""),
        "fingerprint": str(getattr(answer, "system_fingerprint", None) or ""),
        "tokens_in": getattr(usage, "prompt_tokens", None),
        "tokens_out": getattr(usage, "completion_tokens", None),
    }


def _probabilities(choice: Any, choices: Sequence[str]) -> dict[str, float] | None:
    """How likely the first token says each choice; None where the server does not tell."""
    tokens = getattr(getattr(choice, "logprobs", None), "content", None) or []
    top = getattr(tokens[0], "top_logprobs", None) if tokens else None
    if not top:
        return None
    found = dict.fromkeys(choices, 0.0)
    for one in top:
        word = str(one.token).strip().strip("\"'.").lower()
        if word in found and isinstance(one.logprob, int | float) and math.isfinite(one.logprob):
            found[word] += math.exp(min(0.0, one.logprob))
    return {name: min(1.0, value) for name, value in found.items()}


def _package() -> Any:
    try:
        import openai
    except ImportError:
        raise UsageError("this judge needs the package openai: pip install 't2v-evals[judge]'") from None
    return openai
