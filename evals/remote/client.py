"""An HTTP client for APIs: errors in the terms of `outcomes`, and a key that goes to one origin only."""

from __future__ import annotations

import contextlib
import logging
import os
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic, time
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from evals.errors import UsageError
from evals.remote.outcomes import Rejected, Trouble, Unknown
from evals.remote.wire import NotSent, TooLarge, Wire
from evals.runs.secrets import HIDDEN, redacted, remember

for _name in ("httpx", "httpcore"):  # they would log whole addresses, signatures included
    logging.getLogger(_name).setLevel(logging.WARNING)

MOST_BYTES = 4 << 30  # of a download
REFUSALS = (
    "content_policy", "moderation", "safety", "sensitive", "policy_violation", "content_filter", "nsfw",
)  # fmt: skip
TOO_EARLY = {408, 409, 425, 429}
NO_REFUSAL = {401, 404, 409, 425, 429}
SAYING = ("code", "type", "message", "msg", "reason", "status", "title")


class Client:
    """A client of one API. `base` ends without a slash; the key is sent to its origin and nowhere else."""

    def __init__(self, base: str, key: str, timeout: float = 60.0, scheme: str = "Bearer") -> None:
        try:
            parts = urlsplit(base)
            parts.port  # noqa: B018 - raises for one that cannot be
        except ValueError:
            raise UsageError(f"{base.partition('?')[0]}: is no address") from None
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username or parts.query:
            raise UsageError(f"{base.partition('?')[0]}: an API's address is http(s)://host[:port]/path")
        self.base, self._key, self._scheme = base.rstrip("/"), key, scheme
        self._origin = (parts.scheme, parts.netloc)
        self.wire = Wire(timeout)
        remember(key)
        self.ahead: float | None = None  # seconds by which the server's clock is ahead of ours

    def stop(self) -> None:
        """Cancel requests that are under way."""
        self.wire.stop()

    def close(self) -> None:
        """Close connections; the next request opens others."""
        self.wire.close()

    def url(self, path: str) -> str:
        """An address of the API: below its base, or as the server gave it, relative to its origin."""
        if path.startswith(("http://", "https://")):
            return path
        return urljoin(f"{self._origin[0]}://{self._origin[1]}", path)

    def _headers(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        same = (parts.scheme, parts.netloc) == self._origin
        return {"Authorization": f"{self._scheme} {self._key}"} if self._key and same else {}

    def clean(self, text: str) -> str:
        """A text for a record: short, on one line, without keys."""
        found = text.replace(self._key, HIDDEN) if self._key else text
        return f"{redacted(found):.300}"

    def submit(self, url: str, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
        """POST a job. Raises `Rejected` or `Unknown`."""
        try:
            request = httpx.Request("POST", url, headers={**self._headers(url), **(headers or {})}, **body)
            answer = self.wire.exchange(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, NotSent) as error:
            raise Rejected(f"no connection: {type(error).__name__}", again=True) from None
        except httpx.RequestError as error:
            raise Unknown(type(error).__name__) from None
        self._compare_clocks(answer)
        code = answer.status_code
        if 200 <= code < 300:
            found = _object(answer)
            if found is None:
                raise Unknown(f"HTTP {code} without a JSON object")
            return found
        said = self._said(answer)
        if code >= 500 or code == 408 or 300 <= code < 400:
            raise Unknown(said)
        prompt = (body.get("json") or {}).get("prompt") or (body.get("files") or {}).get("prompt", ("", ""))[
            1
        ]
        if code not in NO_REFUSAL and is_refusal(words_of(_object(answer)), str(prompt)):
            raise Rejected(said, again=False, refusal=True)
        raise Rejected(said, again=code in TOO_EARLY, after=retry_after(answer))

    def get(self, url: str, **options: Any) -> dict[str, Any] | None:
        """GET a JSON object, None where there is none (404, 410). Raises `Trouble`."""
        try:
            answer = self.wire.exchange(httpx.Request("GET", url, headers=self._headers(url), **options))
        except httpx.RequestError as error:
            raise Trouble(type(error).__name__) from None
        except (httpx.InvalidURL, ValueError):
            raise Trouble("the address is not valid") from None
        self._compare_clocks(answer)
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != 200:
            raise Trouble(self._said(answer), retry_after(answer))
        found = _object(answer)
        if found is None:
            raise Trouble("an answer without a JSON object")
        return found

    def _compare_clocks(self, answer: httpx.Response) -> None:
        with contextlib.suppress(KeyError, ValueError, TypeError):
            self.ahead = parsedate_to_datetime(answer.headers["date"]).timestamp() - time()

    def fetch(self, url: str, out: Path, seconds: float) -> None:
        """Download a video, within some seconds. Raises `Trouble`, `expired` where the address is no longer
        good."""
        end = monotonic() + seconds
        try:
            for _ in range(5):
                left = end - monotonic()
                if left <= 0:
                    raise Trouble("the download takes too long")
                request = httpx.Request("GET", url, headers=self._headers(url))
                answer = self.wire.download(request, out, left, MOST_BYTES)
                code = answer.status_code
                if 300 <= code < 400 and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    continue
                if code in (401, 403, 404, 410):
                    raise Trouble(f"HTTP {code} for the video", expired=True)
                if code != 200:
                    raise Trouble(f"HTTP {code} for the video", retry_after(answer))
                kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind.startswith("text/") or kind == "application/json":
                    raise Trouble(f"{kind:.60} instead of a video")
                return
            raise Trouble("too many redirections")
        except TooLarge:
            raise Trouble(f"the download is larger than {MOST_BYTES:,} bytes") from None
        except httpx.RequestError as error:
            raise Trouble(f"the download broke off: {type(error).__name__}") from None
        except (httpx.InvalidURL, ValueError):
            raise Trouble("the address of the video is not valid") from None

    def _said(self, answer: httpx.Response) -> str:
        found = _object(answer) or {}
        error = found.get("error", found)
        message = error.get("message") or error.get("code") if isinstance(error, dict) else error
        return self.clean(f"HTTP {answer.status_code}" + (f": {message}" if message else ""))


def is_refusal(text: str, prompt: str = "") -> bool:
    """Whether an error's words, less the prompt's, say that a content filter refused."""
    low = text.lower()
    if prompt:
        low = low.replace(prompt.lower(), "")
    return any(word in low for word in REFUSALS)


def words_of(error: Any) -> str:
    """What an error says of itself: codes, types and messages, but not the input that it may echo."""
    if isinstance(error, list):
        return " ".join(words_of(e) for e in error)
    if not isinstance(error, dict):
        return error if isinstance(error, str) else ""
    kept = [v for k, v in error.items() if k in SAYING and isinstance(v, str)]
    return " ".join([*kept, *(words_of(v) for k, v in error.items() if k in ("error", "detail", "errors"))])


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = answer.json()
    except (ValueError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds from a `Retry-After` header, as a number or a date."""
    value = answer.headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time())
        except (ValueError, TypeError):
            return None


def key_from(environment: str | None, default: str, needed: bool) -> str:
    """An API's key from the environment. Raises `UsageError` naming the variable, never the key."""
    name = environment or default
    found = os.environ.get(name, "").strip()
    if not found and needed:
        raise UsageError(
            f"the key is read from the environment: set {name} (or name another: -o key_env=…, of a judge"
            " --judge-option key_env=…)"
        )
    if not all(33 <= ord(c) < 127 for c in found):
        raise UsageError(f"{name} holds a space, a line end or a letter beyond ASCII, which no key has")
    remember(found)
    return found
