"""The job log: what a job API was asked, and what became of it.

::

    jobs/main.jsonl    {"event": "intent" | "accepted" | "rejected" | "unknown" | "ended", "key": …, "job": …}
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from evals.errors import Reason
from evals.runs.journal import Journal, read
from evals.runs.secrets import recordable
from evals.runs.segments import Segments


class JobLog:
    """The log of jobs, safe for threads, and which of them the run's samples have recorded already."""

    def __init__(self, segments: Segments) -> None:
        self._last: dict[str, dict[str, Any]] = {}
        self._unknown: Counter[str] = Counter()
        self._keys: dict[str, str] = {}  # of every job, by its id
        self._lock = threading.Lock()
        for path in segments.known("jobs"):
            for _, record in read(path):
                self._take(record)
        self._recorded: set[str] = set()
        self._recorded_unknown: Counter[tuple[str, int]] = Counter()
        for path in segments.all("samples"):
            for _, sample in read(path):
                self._note(sample)
        self._journal = Journal(segments.own("jobs"))

    def _note(self, sample: dict[str, Any]) -> None:
        if sample.get("job_id"):
            self._recorded.add(str(sample["job_id"]))
        if sample.get("reason") == Reason.SUBMIT_UNKNOWN:
            self._recorded_unknown[str(sample.get("prompt_id")), int(sample.get("seed", 0))] += 1

    def _take(self, record: dict[str, Any]) -> None:
        self._last[str(record.get("key"))] = record
        self._unknown[str(record.get("key"))] += record.get("event") == "unknown"
        if record.get("job"):
            self._keys.setdefault(str(record["job"]), str(record.get("key")))

    def last(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            return self._last.get(key)

    def unreported(self, key: str, prompt_id: str, seed: int) -> dict[str, Any] | None:
        """The end of a job without a video that never reached the run's samples, because the process was
        stopped in between. It is reported now and not paid for again."""
        with self._lock:
            last = self._last.get(key)
            if last is None or last["event"] not in ("ended", "unknown") or last.get("status") == "ok":
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
            return set(self._keys)

    def key_of(self, job_id: str) -> str | None:
        """The key of the request that a job was made for."""
        with self._lock:
            return self._keys.get(job_id)

    def write(self, key: str, event: str, **fields: Any) -> datetime:
        """On the disk when it returns; gives the time that was written."""
        now = datetime.now(UTC)
        record = {"key": key, "event": event, "time": now.isoformat(), **recordable(fields)}
        with self._lock:
            self._journal.append(record)
            self._take(record)
        return now

    def close(self) -> None:
        self._journal.close()
