"""The budget of a run on a paid API: what jobs have cost, and whether another one fits under the cap."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

from evals.remote.job_log import JobLog


class OverBudget(Exception):
    """Another job would go beyond the cap; the message says by how much."""


class NoPrice(OverBudget):
    """There is a cap, and nobody knows what a job costs."""


class BudgetStopped(Exception):
    """The run is being stopped."""


class Budget:
    """What jobs have cost, and whether another one fits under the cap."""

    def __init__(self, price: float | None, cap: float | None, remedy: str = "give -o price=…") -> None:
        """`remedy` is what to do where the API reports no cost."""
        self._price, self._cap, self._remedy = price, cap, remedy
        self._spent = 0.0  # by jobs that have ended
        self._held: dict[str, float] = {}  # what jobs that have not ended may cost, by key
        self._running: set[str] = set()
        self._reported = 0.0
        self._silent = False  # a job ended without a reported cost
        self._stopped = False
        self._changed = threading.Condition()

    def start(self, jobs: JobLog) -> None:
        """Take over what a run has spent before."""
        self._spent, self._held, self._running = 0.0, {}, set()
        for record in jobs.records():
            if record["event"] == "ended":
                self._spent += record["cost"] or 0.0
                self._reported = max(self._reported, record["cost"] or 0.0)
            elif record["event"] in ("accepted", "unknown", "intent"):
                self._held[record["key"]] = self._price or 0.0

    def has_spent(self, costs: Sequence[float]) -> None:
        """Take over what was paid before."""
        self._spent, self._reported = sum(costs), max(costs, default=0.0)

    def reserve(self, key: str) -> None:
        """Set a job's price aside. Raises `OverBudget` where it doesn't fit, `BudgetStopped` where the run is
        stopped. Where no price is known yet, one job at a time goes ahead to learn it."""
        if self._cap is None:
            return
        with self._changed:
            while True:
                known = self._price is not None or self._reported > 0
                if self._stopped:
                    raise BudgetStopped
                if known or not self._running or self._silent:
                    break
                self._changed.wait()
            if not known and self._silent:
                raise NoPrice(f"there is a cap on costs, and the API reports no cost: {self._remedy}")
            estimate = self._price if self._price is not None else self._reported
            others = sum(v for k, v in self._held.items() if k != key)
            together = self._spent + others + estimate
            if together > self._cap + 1e-9:
                raise OverBudget(
                    f"spending cap: {self._spent:.4g} spent, {together:.4g} with this, at most {self._cap:g}"
                )
            self._held[key] = estimate
            self._running.add(key)

    def stop(self) -> None:
        """Have threads that wait for a price come back."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def release(self, key: str) -> None:
        """The server certainly took no job."""
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
        """This process no longer follows a job; one that has not ended may still cost what was set aside."""
        with self._changed:
            self._running.discard(key)
            self._changed.notify_all()


def cost_of(value: Any) -> float | None:
    """A cost as an API says it; None where that is no amount."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
