"""Job APIs: submit, poll, download. What is paid for is written down before anything depends on it.

A submit is journalled as an intent before it is sent, and the job's id before the first poll, so a restart
goes on with the job instead of paying again. A submit whose outcome is unknown is looked up where the server
lists jobs, and never simply repeated.

::

    jobs.jsonl    {"event": "intent" | "accepted" | "rejected" | "unknown" | "ended", "key": …, "job": …}
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from evals.decoding.pool import Job as PoolJob
from evals.decoding.pool import Pool
from evals.errors import RunError, SampleError
from evals.generators import Generation, cross
from evals.generators.ledger import UNKNOWN, Book, NoJob, Purse
from evals.records import Prompt, PromptSet, Record, Request, Spec, digest

T = TypeVar("T")
TRIES = 6  # of anything that may be tried again
LONGEST_PAUSE = 60.0
LOST = 3  # polls in a row that must not find a job
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Job:
    """A job that the server has accepted; `extra` is what else its polls need."""

    id: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """What a poll says. `urls` are where the result lies; `cost` in the API's currency."""

    state: Literal["waiting", "done", "failed", "refused", "lost"]
    reason: str = ""
    urls: tuple[str, ...] = ()
    cost: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Rejected(Exception):
    """The server took no job: `again` says whether a later try may do, after `after` seconds."""

    def __init__(self, reason: str, again: bool, after: float | None = None, refusal: bool = False) -> None:
        super().__init__(reason)
        self.again, self.after, self.refusal = again, after, refusal


class Unknown(Exception):
    """Nobody can say whether the server took the job."""


class Trouble(Exception):
    """A poll, a list or a download that failed and may be tried again; `expired`: with a fresh address."""

    def __init__(self, reason: str, after: float | None = None, expired: bool = False) -> None:
        super().__init__(reason)
        self.after, self.expired = after, expired


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


OF_THE_WORK = {"concurrency", "rpm", "deadline", "poll", "pause", "price", "max_cost", "key_env"}
"""Options that shape how videos are fetched and not what they are: no part of the spec."""


class JobGenerator(ABC):
    """Base of generators on a job API: journal, resume, limits. Subclasses talk to the server."""

    Options: ClassVar[type[JobOptions]] = JobOptions
    fixed = False
    waits = True
    can_list = False
    spec: Spec
    label: str
    accepts: frozenset[str] = frozenset()

    def __init__(self, options: JobOptions) -> None:
        self.options = options
        self.concurrency = options.concurrency
        self._book: Book | None = None
        self._submitting = threading.Lock()
        self._next_submit = 0.0
        self._purse = Purse(options.price, options.max_cost)
        self._probing = threading.Lock()
        self._pool: Pool | None = None
        self._stopping = threading.Event()

    # --- what subclasses give ---

    @abstractmethod
    def submit(self, request: Request, key: str) -> Job:
        """Send one job. Raises `Rejected` or `Unknown`."""

    @abstractmethod
    def poll(self, job: Job) -> Status:
        """Ask how a job is. Raises `Trouble`."""

    @abstractmethod
    def download(self, job: Job, status: Status, out: Path, seconds: float) -> None:
        """Fetch a finished job's video, within some seconds. Raises `Trouble`."""

    def find(self, request: Request, key: str, since: datetime, taken: set[str]) -> Job | None:
        """The one job on the server that a submit since then made, None where there is none. Raises
        `Trouble`, or `Unknown` where several could be it. Only where `can_list`."""
        raise Unknown("the server does not list jobs")

    @abstractmethod
    def disconnect(self) -> None:
        """Close what holds connections."""

    # --- the generator ---

    def plan(self, prompts: PromptSet | None, seeds: Sequence[int] | None) -> list[tuple[Prompt, int]]:
        return cross(prompts, seeds)

    def identity(self, prompt: Prompt, seed: int) -> Any:
        return None

    def begin(self, folder: Path) -> None:
        """Open the journal of jobs in a run's folder."""
        self._stopping.clear()
        self._book = Book(folder / "jobs.jsonl")
        self._purse.start(self._book)

    def stop(self) -> None:
        """Have every thread that waits come back; its jobs stay open in the journal."""
        self._stopping.set()
        self._purse.stop()

    def close(self) -> None:
        """Close the journal, connections and the process that looks at videos."""
        self.disconnect()
        if self._book is not None:
            self._book.close()
            self._book = None
        if self._pool is not None:
            self._pool.__exit__(None, None, None)
            self._pool = None

    def generate(self, request: Request, out: Path) -> Generation:
        if self._book is None:
            raise RunError(f"{self.label}: has no run to write its jobs into; call begin(folder) first")
        settings = request.settings.to_json()
        key = digest([self.spec.to_json(), request.prompt.id, request.prompt.text, request.seed, settings])
        if (end := self._book.unreported(key, request.prompt.id, request.seed)) is not None:
            return Generation(end.get("outcome", "failed"), reason=end.get("reason", UNKNOWN),
                              cost=end.get("cost"), job_id=end.get("job"),
                              details=end.get("details") or {})  # fmt: skip
        last = self._book.last(key)
        job: Job | None = None
        try:
            if last is not None and last["event"] == "ended" and last["outcome"] == "ok":
                job = Job(last["job"], last["extra"])
                if out.is_file():  # killed between this journal and the samples'
                    return Generation("ok", out, cost=last["cost"], job_id=job.id, details=last["details"])
            elif last is not None and last["event"] == "accepted":
                job = Job(last["job"], last["extra"])
            elif last is not None and last["event"] == "intent":
                with self._submitting:
                    job = self._look_up(request, key, datetime.fromisoformat(last["time"]))
            job = job or self._accepted(request, key)
        except NoJob as no:
            return no.generation
        except _Stopped:
            return Generation("failed", reason="the run was stopped", transient=True)
        try:
            return self._follow(job, key, out, time.monotonic() + self.options.deadline)
        except _Stopped:
            return Generation("failed", reason="the run was stopped", transient=True, job_id=job.id)
        finally:
            self._purse.leave(key)

    def _accepted(self, request: Request, key: str) -> Job:
        """Submit until the server takes the job, or says that it won't. Raises `NoJob`."""
        assert self._book is not None
        self._purse.reserve(key)
        waited = 0.0
        try:
            for attempt in range(TRIES):
                with self._submitting:  # nothing is looked up while a job's id is not written down yet
                    self._wait_for_rate()
                    sent = self._book.write(key, "intent", prompt_id=request.prompt.id, seed=request.seed)
                    try:
                        job = self.submit(request, key)
                        self._book.write(key, "accepted", job=job.id, extra=job.extra)
                        return job
                    except Rejected as no:
                        self._book.write(key, "rejected")
                        if no.refusal:
                            raise NoJob(Generation("refused", reason=str(no))) from None
                        if not no.again or attempt == TRIES - 1:
                            raise NoJob(Generation("failed", reason=str(no), transient=no.again)) from None
                        pause = self._pause(attempt, no.after)
                    except Unknown as unknown:
                        found = self._look_up(request, key, sent, str(unknown))
                        if found is not None:
                            return found
                        pause = self._pause(attempt, None)
                waited += pause
                if waited > self.options.deadline:
                    raise NoJob(Generation("timed_out", reason="no job was accepted in time", transient=True))
                self._wait(pause)
            raise NoJob(Generation("failed", reason=f"{TRIES} submits failed", transient=True))
        except (
            BaseException
        ):  # whatever ends it, Ctrl-C too, goes on up; the money set aside is settled first
            last = self._book.last(key)
            if last is not None and last["event"] in ("unknown", "intent"):
                self._purse.leave(key)  # it may have been taken, and cost
            else:
                self._purse.release(key)
            raise

    def _look_up(self, request: Request, key: str, since: datetime, why: str = "") -> Job | None:
        """The job that a submit may have made; None if there is none. Raises `NoJob` where nobody knows."""
        assert self._book is not None
        said = f"{UNKNOWN} ({why})" if why else UNKNOWN
        if self.can_list:
            try:
                job = self._found(request, key, since)
            except Unknown as several:
                said = f"{UNKNOWN}: {several}"
            except Trouble as trouble:
                # The intent stays open: the next start looks again.
                said = f"{UNKNOWN}, and the server's list cannot be read: {trouble}"
                raise NoJob(Generation("failed", reason=said, transient=True)) from None
            else:
                if job is not None:
                    self._book.write(key, "accepted", job=job.id, extra=job.extra)
                return job
        self._book.write(key, "unknown", reason=said)
        raise NoJob(Generation("failed", reason=said))

    def _found(self, request: Request, key: str, since: datetime) -> Job | None:
        """`find`, asked twice where there is nothing: a list may lag behind."""
        book = self._book
        assert book is not None
        for attempt in range(2):
            job = self._tried(lambda: self.find(request, key, since, book.ids()), self.options.deadline)
            if job is not None or attempt:
                return job
            self._wait(self._pause(0, None))
        raise AssertionError

    def _follow(self, job: Job, key: str, out: Path, deadline: float) -> Generation:
        """Poll a job until it ends, and fetch its video."""
        assert self._book is not None
        troubles = expired = lost = 0
        while True:
            try:
                status = self.poll(job)
                troubles, lost = 0, lost + 1 if status.state == "lost" else 0
            except Trouble as trouble:
                troubles += 1
                if not self._sleep(self._pause(troubles, trouble.after), deadline):
                    return _late(job, str(trouble))
                continue
            if status.state == "waiting" or 0 < lost < LOST:
                if not self._sleep(self.options.poll * random.uniform(0.9, 1.1), deadline):
                    return _late(job, "the job has not ended")
                continue
            cost = status.cost if status.cost is not None else self.options.price
            if status.state != "done":
                outcome: Literal["refused", "failed"] = "refused" if status.state == "refused" else "failed"
                reason = status.reason or f"the job is {status.state}"
                self._end(key, job, outcome, status.cost, status.details, reason)
                return Generation(outcome, reason=reason, cost=status.cost, job_id=job.id,
                                  details=status.details)  # fmt: skip
            try:
                self._fetch(job, status, out, deadline)
            except Trouble as trouble:
                expired += trouble.expired
                if trouble.expired and expired < TRIES and self._sleep(self._pause(expired, None), deadline):
                    continue  # a fresh poll may give a fresh address
                reason = f"the job is done, its video could not be fetched: {trouble}"
                return Generation("failed", reason=reason, transient=True, job_id=job.id)
            self._end(key, job, "ok", cost, status.details)
            return Generation("ok", out, cost=cost, job_id=job.id, details=status.details)

    def _end(
        self, key: str, job: Job, outcome: str, cost: float | None, details: dict[str, Any], reason: str = ""
    ) -> None:
        assert self._book is not None
        said = {"outcome": outcome, "cost": cost, "details": details, "reason": reason}
        self._book.write(key, "ended", job=job.id, extra=job.extra, **said)
        self._purse.pay(key, cost, outcome == "ok")

    def _fetch(self, job: Job, status: Status, out: Path, deadline: float) -> None:
        """A video that decodes, at its place. Raises `Trouble`."""
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.stem}.partial{out.suffix}")

        def once() -> None:
            # A job that is done is worth a minute beyond its deadline.
            self.download(job, status, partial, max(60.0, deadline - time.monotonic()))
            try:
                with self._probing:
                    if self._pool is None:
                        self._pool = Pool(1)
                        self._pool.__enter__()
                    self._pool.ask(PoolJob(partial, "probe"))
            except SampleError as error:
                raise Trouble(f"what came does not decode: {error}") from None

        try:
            self._tried(once, max(60.0, deadline - time.monotonic()))
            partial.replace(out)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _tried(self, action: Callable[[], T], seconds: float) -> T:
        """Try again what may be tried again, with pauses, as long as some seconds last."""
        end = time.monotonic() + seconds
        for attempt in range(TRIES):
            try:
                return action()
            except Trouble as trouble:
                pause = self._pause(attempt, trouble.after)
                if attempt == TRIES - 1 or trouble.expired or time.monotonic() + pause > end:
                    raise
                self._wait(pause)
        raise AssertionError

    def _wait(self, seconds: float) -> None:
        """Sleep. Raises `_Stopped` where the run is."""
        if self._stopping.wait(max(0.0, seconds)):
            raise _Stopped

    def _wait_for_rate(self) -> None:
        if self.options.rpm:
            self._wait(self._next_submit - time.monotonic())
            self._next_submit = time.monotonic() + 60 / self.options.rpm

    def _pause(self, attempt: int, after: float | None) -> float:
        """Seconds before the next try: what the server asks for, or longer and longer, with jitter."""
        if after is not None:
            return min(after, 10 * LONGEST_PAUSE)
        return min(LONGEST_PAUSE, self.options.pause * 2.0**attempt) * random.uniform(0.5, 1.0)

    def _sleep(self, seconds: float, deadline: float) -> bool:
        """Sleep; False where the deadline comes first."""
        if time.monotonic() + seconds > deadline:
            return False
        self._wait(seconds)
        return True


class _Stopped(Exception):
    """The run is being stopped; what is open stays open."""


def _late(job: Job, why: str) -> Generation:
    """The job stays open in the journal: run again, and it is asked for again."""
    return Generation("timed_out", reason=f"the deadline has passed: {why}", transient=True, job_id=job.id)
