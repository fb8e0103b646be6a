"""Every question that a judge was asked, with its answer as it came.

::

    answers/main.jsonl    {"key": …, "judge": …, "ask": …, "vote": …, "choice" | "reason": …, "raw": …}

An answer is on the disk before anything is made of it, and a question whose answer is there is not asked
again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.errors import Reason
from evals.judges.base import Ask, Reply
from evals.runs.journal import Journal, read
from evals.runs.secrets import recordable

KEPT = ("choice", "probabilities", "reason", "message", "transient", "cost", "model", "judge")
"""Of a record in memory; the rest is for people."""


class AnswerLog:
    """The log of one run or study, safe for threads; use as a context manager."""

    def __init__(self, path: Path, also: Iterable[Path] = ()) -> None:
        """Written is `path`; what lies in `also` is known, too."""
        self._last: dict[str, dict[str, Any]] = {}
        self.costs: dict[str, list[float]] = {}
        for known in dict.fromkeys((*also, path)):
            for _, record in read(known):
                self._take(record)
        self._journal = Journal(path)
        self._lock = threading.Lock()

    def _take(self, record: dict[str, Any]) -> None:
        judge = str(record["judge"])
        self._last[str(record["key"])] = {name: record.get(name) for name in KEPT}
        if record.get("cost"):
            self.costs.setdefault(judge, []).append(float(record["cost"]))

    def get(self, key: str) -> Reply | None:
        """The last reply under a key."""
        with self._lock:
            found = self._last.get(key)
        if found is None:
            return None
        return Reply(
            choice=found["choice"], probabilities=found["probabilities"] or {},
            reason=Reason(found["reason"]) if found["reason"] else None, message=found["message"] or "",
            transient=bool(found["transient"]), model=found["model"] or "", cost=found["cost"],
        )  # fmt: skip

    def served(self, judge: str) -> tuple[str, ...]:
        """The names that a judge's server gave for its model."""
        with self._lock:
            return tuple(
                sorted({r["model"] for r in self._last.values() if r["judge"] == judge and r["model"]})
            )

    def write(self, key: str, judge: str, ask: Ask, vote: int, reply: Reply, **about: Any) -> None:
        """On the disk when it returns."""
        record: dict[str, Any] = {
            "key": key, "judge": judge, "time": datetime.now(UTC).isoformat(timespec="seconds"), **about,
            "ask": ask.text, "choices": list(ask.choices), "vote": vote, "choice": reply.choice,
            "probabilities": dict(reply.probabilities), "reason": reply.reason, "message": reply.message,
            "transient": reply.transient, "raw": reply.raw, "model": reply.model,
            "fingerprint": reply.fingerprint, "tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out,
            "cost": reply.cost,
        }  # fmt: skip
        told = recordable({k: v for k, v in record.items() if not (v is None or v is False or v in ("", {}))})
        with self._lock:
            self._journal.append(told)
            self._take(told)

    def close(self) -> None:
        self._journal.close()

    def __enter__(self) -> AnswerLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
