"""Asks a judge: what is known is not asked again, what it costs stays under the cap, every answer is kept."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Literal, TypeVar

from evals.errors import NoAnswer, Reason, UsageError
from evals.judges.answer_log import AnswerLog
from evals.judges.base import Ask, Judge, Reply, Sight
from evals.records import digest
from evals.remote.budget import Budget, BudgetStopped, NoPrice, OverBudget

T = TypeVar("T")
R = TypeVar("R")
Retry = Literal["none", "transient", "all"]
SILENT = 3  # questions in a row without an answer, from the first on, after which nobody is asked


class Asker:
    """One judge with one log. `retry` says which failures in the log are asked again."""

    def __init__(self, judge: Judge, log: AnswerLog, retry: Retry = "transient") -> None:
        self.judge, self.log, self._retry = judge, log, retry
        self._budget = Budget(None, judge.max_cost, "give the judge's price_in and price_out")
        self._budget.has_spent(log.costs.get(judge.name, []))
        self._asking: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._tried: set[str] = set()
        self.asked = 0
        self._silent: int | None = 0  # questions without an answer; None once there was one

    def votes(self, sights: Sequence[Sight], ask: Ask, **about: Any) -> list[Reply]:
        """All votes on a question about one video, or several in this order. `about` stands in the log.
        Raises `NoAnswer`."""
        return [self._vote(sights, ask, vote, about) for vote in range(self.judge.options.votes)]

    def _vote(self, sights: Sequence[Sight], ask: Ask, vote: int, about: dict[str, Any]) -> Reply:
        shown = [sight.digest for sight in sights]
        key = digest(
            ["answer", shown, ask.text, list(ask.choices), ask.probabilities, vote, self.judge.asking]
        )
        with self._lock:
            mine = self._asking[key]
        with mine:  # the same question about the same frames at the same time is asked once
            known = self.log.get(key)
            if known is None or self._is_due(key, known):
                known = self._asked(key, sights, ask, vote, about)
        if known.reason is not None:
            raise NoAnswer(known.message, known.reason, known.transient)
        return known

    def _is_due(self, key: str, known: Reply) -> bool:
        again = self._retry == "all" or (self._retry == "transient" and known.transient)
        return known.reason is not None and again and key not in self._tried

    def _asked(self, key: str, sights: Sequence[Sight], ask: Ask, vote: int, about: dict[str, Any]) -> Reply:
        try:
            self._budget.reserve(key)
        except NoPrice as error:
            raise UsageError(f"judge {self.judge.name}: {error}") from None
        except OverBudget as error:
            raise NoAnswer(str(error), Reason.BUDGET, transient=True) from None
        except BudgetStopped:
            raise NoAnswer("the run was stopped", Reason.STOPPED, transient=True) from None
        try:
            reply = self.judge.ask(sights, ask, self.judge.options.seed + vote)
        except BaseException:
            self._budget.release(key)
            raise
        try:
            if reply.reason != Reason.STOPPED:
                self.log.write(key, self.judge.name, ask, vote, reply, **about)
        finally:
            self._budget.pay(key, reply.cost, reply.reason is None)
            self._budget.leave(key)
        with self._lock:
            self._tried.add(key)
            self.asked += 1
            if reply.reason != Reason.JUDGE_UNAVAILABLE:
                self._silent = None
            elif self._silent is not None:
                self._silent += 1
        if self._silent is not None and self._silent >= SILENT:
            raise UsageError(
                f"judge {self.judge.name} answered none of the first {SILENT} questions: {reply.message};"
                " what is done is kept, and the same command goes on from here"
            )
        return reply

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Work on items as many at once as the judge allows; gives each with its result as it is done. When
        the caller is interrupted, what waits for an answer comes back."""
        at_once = self.judge.options.concurrency if self.judge.waits else 1
        left = iter(items)
        with ThreadPoolExecutor(at_once) as threads:
            running: dict[Future[R], T] = {}
            try:
                while True:
                    for item in islice(left, at_once - len(running)):
                        running[threads.submit(work, item)] = item
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(future), future.result()
            finally:
                if running:
                    self._budget.stop()
                    self.judge.stop()
                threads.shutdown(cancel_futures=True)
