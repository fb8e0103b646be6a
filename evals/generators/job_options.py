"""Options that all generators on a job API have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from evals.records import Record


class JobOptions(Record):
    """`concurrency`: jobs at once; `rpm`: submits a minute; `deadline`: seconds a job may take; `poll`:
    seconds between polls; `pause`: seconds before a second try, longer before later ones; `price` of a video
    and `max_cost` of all, in the API's currency; `key_env`: the environment variable that holds the key."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    rpm: Annotated[float, Field(gt=0, le=6000)] | None = None
    deadline: Annotated[float, Field(gt=0, le=864_000)] = 3600.0
    poll: Annotated[float, Field(gt=0, le=3600)] = 5.0
    pause: Annotated[float, Field(ge=0, le=600)] = 1.0
    price: Annotated[float, Field(ge=0)] | None = None
    max_cost: Annotated[float, Field(ge=0)] | None = None
    key_env: str | None = None


NOT_IN_SPEC = {"concurrency", "rpm", "deadline", "poll", "pause", "price", "max_cost", "key_env"}
"""Options that shape how videos are fetched and not what they are."""
