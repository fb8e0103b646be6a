"""What can become of a request to a job API, as types that retries and the job log go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

UNKNOWN = "submit outcome unknown"


@dataclass(frozen=True)
class RemoteJob:
    """A job that the server has accepted; `extra` is what else its polls need."""

    id: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobStatus:
    """A poll's answer. `urls` are where the result lies; `cost` in the API's currency."""

    state: Literal["waiting", "done", "failed", "refused", "lost"]
    message: str = ""
    urls: tuple[str, ...] = ()
    cost: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Rejected(Exception):
    """The server took no job: `again` says whether a later try may work, after `after` seconds."""

    def __init__(self, message: str, again: bool, after: float | None = None, refusal: bool = False) -> None:
        super().__init__(message)
        self.again, self.after, self.refusal = again, after, refusal


class Unknown(Exception):
    """It is not known whether the server took the job."""


class Trouble(Exception):
    """A poll, a list or a download that failed and may be tried again; `expired`: only with a fresh
    address."""

    def __init__(self, message: str, after: float | None = None, expired: bool = False) -> None:
        super().__init__(message)
        self.after, self.expired = after, expired
