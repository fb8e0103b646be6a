"""What job APIs were asked and what they cost: the journal of jobs, the purse, and where keys come from."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.errors import UsageError
from evals.generators import Generation
from evals.journal import Journal, read
from evals.records import SCHEMA, recordable

UNKNOWN = "submit outcome unknown"


class NoJob(Exception):
    """No job came of a request; `generation` says why."""

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation.reason)
        self.generation = generation


class Book:
    """The journal of jobs, safe for threads, and what of it the run's samples have recorded already."""

    def __init__(self, path: Path) -> None:
        self._last: dict[str, dict[str, Any]] = {}
        self._unknown: Counter[str] = Counter()
        self._ids: set[str] = set()
        self._lock = threading.Lock()
        for _, record in read(path):
            self._take(record)
        self._recorded: set[str] = set()
        self._recorded_unknown: Counter[tuple[str, int]] = Counter()
        for _, sample in read(path.with_name("samples.jsonl")):
            if sample.get("job_id"):
                self._recorded.add(str(sample["job_id"]))
            if str(sample.get("reason", "")).startswith(UNKNOWN):
                self._recorded_unknown[str(sample.get("prompt_id")), int(sample.get("seed", 0))] += 1
        self._journal = Journal(path)

    def _take(self, record: dict[str, Any]) -> None:
        self._last[str(record.get("key"))] = record
        self._unknown[str(record.get("key"))] += record.get("event") == "unknown"
        if record.get("job"):
            self._ids.add(str(record["job"]))

    def last(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            return self._last.get(key)

    def unreported(self, key: str, prompt_id: str, seed: int) -> dict[str, Any] | None:
        """An end without a video that was written here and never reached the run's samples: the process was
        stopped between. It is to be told now, not paid for again."""
        with self._lock:
            last = self._last.get(key)
            if last is None or last["event"] not in ("ended", "unknown") or last.get("outcome") == "ok":
                return None
            if last["event"] == "unknown":
                told = self._recorded_unknown[prompt_id, seed] >= self._unknown[key]
            else:
                told = str(last["job"]) in self._recorded
            return None if told else last

    def records(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._last.values())

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._ids)

    def write(self, key: str, event: str, **fields: Any) -> datetime:
        """On the disk when it returns; gives the time that was written."""
        now = datetime.now(UTC)
        record = {"schema": SCHEMA, "key": key, "event": event, "time": now.isoformat(), **recordable(fields)}
        with self._lock:
            self._journal.append(record)
            self._take(record)
        return now

    def close(self) -> None:
        self._journal.close()


class Purse:
    """What jobs have cost, and whether another one fits under the cap."""

    def __init__(self, price: float | None, cap: float | None) -> None:
        self._price, self._cap = price, cap
        self._spent = 0.0  # by jobs that have ended
        self._held: dict[str, float] = {}  # what jobs that have not ended may cost, by key
        self._running: set[str] = set()
        self._reported = 0.0
        self._silent = False  # a job ended and its cost was not said
        self._stopped = False
        self._changed = threading.Condition()

    def start(self, book: Book) -> None:
        """Take over what a run has spent before."""
        self._spent, self._held, self._running = 0.0, {}, set()
        for record in book.records():
            if record["event"] == "ended":
                self._spent += record["cost"] or 0.0
                self._reported = max(self._reported, record["cost"] or 0.0)
            elif record["event"] in ("accepted", "unknown", "intent"):
                self._held[record["key"]] = self._price or 0.0

    def reserve(self, key: str) -> None:
        """Set a job's price aside. Raises `NoJob` where it doesn't fit. Where no price is known yet, one job
        at a time goes ahead to learn it."""
        if self._cap is None:
            return
        with self._changed:
            while True:
                known = self._price is not None or self._reported > 0
                if self._stopped:
                    raise NoJob(Generation("failed", reason="the run was stopped", transient=True))
                if known or not self._running or self._silent:
                    break
                self._changed.wait()
            if not known and self._silent:
                reason = "there is a --max-cost, and the API reports no cost: give -o price=…"
                raise NoJob(Generation("failed", reason=reason, transient=True))
            estimate = self._price if self._price is not None else self._reported
            others = sum(v for k, v in self._held.items() if k != key)
            together = self._spent + others + estimate
            if together > self._cap + 1e-9:
                reason = (
                    f"spending cap: {self._spent:.4g} spent, {together:.4g} with this, at most {self._cap:g}"
                )
                raise NoJob(Generation("failed", reason=reason, transient=True))
            self._held[key] = estimate
            self._running.add(key)

    def stop(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def release(self, key: str) -> None:
        """No job came of it, for certain."""
        with self._changed:
            self._held.pop(key, None)
            self._running.discard(key)
            self._changed.notify_all()

    def pay(self, key: str, cost: float | None, ok: bool) -> None:
        """A job has ended."""
        with self._changed:
            self._held.pop(key, None)
            self._spent += cost or 0.0
            self._reported = max(self._reported, cost or 0.0)
            self._silent |= ok and cost is None
            self._changed.notify_all()

    def leave(self, key: str) -> None:
        """Nobody waits for a job any more; one that has not ended may still cost what was set aside."""
        with self._changed:
            self._running.discard(key)
            self._changed.notify_all()


def cost_of(value: Any) -> float | None:
    """A cost as an API says it; None where that is no amount."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def key_from(environment: str | None, default: str, needed: bool) -> str:
    """An API's key from the environment. Raises `UsageError` naming the variable, never the key."""
    name = environment or default
    found = os.environ.get(name, "").strip()
    if not found and needed:
        raise UsageError(f"the key is read from the environment: set {name} (or name another: -o key_env=…)")
    return found
