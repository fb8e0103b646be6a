"""Job APIs: submit, poll, download. Everything that costs money is written to the job log first.

A submit is logged as an intent before it is sent, and the job's id before the first poll, so a restart goes
on with the job instead of paying again. A submit whose outcome is unknown is looked up where the server lists
jobs, and is never simply repeated."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from evals.errors import Reason, RunError, SampleError
from evals.generators.base import Generation, Generator, Probe, failed, refused
from evals.generators.endings import ended, late, reported, stopped
from evals.generators.job_options import NOT_IN_SPEC, JobOptions
from evals.records import Request
from evals.remote.budget import Budget, BudgetStopped, OverBudget
from evals.remote.client import Client
from evals.remote.job_log import JobLog
from evals.remote.outcomes import UNKNOWN, JobStatus, Rejected, RemoteJob, Trouble, Unknown
from evals.remote.pacing import TRIES, Pacing, Stopped
from evals.runs.journal import settle
from evals.runs.keys import job_key
from evals.runs.secrets import redacted
from evals.runs.segments import Segments

T = TypeVar("T")
LONGEST_ID = 1000  # characters
LOST = 3  # polls in a row that must not find a job
SKEW = 3600.0  # seconds by which a clock may differ that nobody has compared
SLACK = 3.0  # seconds that a `Date` is rounded to and an answer is under way


class NoJob(Exception):
    """No job came of a request; `generation` says why."""

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation.message)
        self.generation = generation


class JobGenerator(Generator):
    """Base of generators on a job API: job log, resume, limits. Subclasses talk to the server."""

    Options = JobOptions
    http: Client
    waits = True
    can_list = False

    def __init__(self, options: JobOptions) -> None:
        self.options = options
        self.concurrency, self.price = options.concurrency, options.price
        self._log: JobLog | None = None
        self._asking: dict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)
        self._slots = threading.Lock()
        self.pacing = Pacing(options.pause, options.rpm)
        self._budget = Budget(options.price, options.max_cost)
        self._probe: Probe | None = None

    def kept_options(self) -> dict[str, Any]:
        """The options that shape videos, for the spec."""
        return {k: v for k, v in self.options.to_json().items() if k not in NOT_IN_SPEC}

    # --- what subclasses give ---

    @abstractmethod
    def submit(self, request: Request, key: str) -> RemoteJob:
        """Send one job. Raises `Rejected` or `Unknown`."""

    @abstractmethod
    def poll(self, job: RemoteJob) -> JobStatus:
        """Ask how a job is. Raises `Trouble`."""

    @abstractmethod
    def download(self, job: RemoteJob, status: JobStatus, out: Path, seconds: float) -> None:
        """Fetch a finished job's video, within some seconds. Raises `Trouble`."""

    def find(
        self, request: Request, key: str, since: float, surely: float, taken: set[str]
    ) -> RemoteJob | None:
        """The one job on the server that a submit made, None where there is none. `since` and `surely` are
        times of the server's clock: a job from before `since` cannot be it, one from before `surely` may be.
        Raises `Trouble`, or `Unknown` where several could be it, or one that may be another's. Only where
        `can_list`."""
        raise Unknown("the server does not list jobs")

    def clock_ahead(self) -> float | None:
        """Seconds by which the server's clock is ahead of ours; None where that is not known."""
        return None

    def cancel(self) -> None:
        """Cancel requests that are under way."""
        self.http.stop()

    @abstractmethod
    def disconnect(self) -> None:
        """Close what holds connections."""

    # --- the generator ---

    def begin(self, segments: Segments, probe: Probe) -> None:
        """Open the job log of a run."""
        self.pacing.start()
        self._probe = probe
        self._log = JobLog(segments)
        self.http.wire.seconds = min(self.http.wire.seconds, self.options.deadline)
        self._budget.start(self._log)

    def stop(self) -> None:
        """Have every thread that waits come back; its jobs stay open in the log."""
        self.pacing.stop()
        self._budget.stop()
        self.cancel()

    def close(self) -> None:
        """Close the job log and connections."""
        self.disconnect()
        if self._log is not None:
            self._log.close()
            self._log = None

    def generate(self, request: Request, out: Path) -> Generation:
        if self._log is None:
            raise RunError(f"{self.label}: has no run to write its jobs into; call begin() first")
        key = job_key(self.spec, request)
        if (end := self._log.unreported(key, request.prompt.id, request.seed)) is not None:
            return reported(end)
        last = self._log.last(key)
        job: RemoteJob | None = None
        try:
            if last is not None and last["event"] == "ended" and last["status"] == "ok":
                job = RemoteJob(last["job"], last["extra"])
                if self._is_whole(out):  # killed before the sample was recorded
                    return Generation("ok", out, cost=last["cost"], job_id=job.id, details=last["details"])
            elif last is not None and last["event"] == "accepted":
                job = RemoteJob(last["job"], last["extra"])
            elif last is not None and last["event"] == "intent":
                with self._like(request):
                    job = self._look_up(request, key, last)
            job = job or self._accepted(request, key)
        except NoJob as no:
            return no.generation
        except Stopped:
            return stopped()
        try:
            return self._follow(job, key, out, time.monotonic() + self.options.deadline)
        except Stopped:
            return stopped(job.id)
        finally:
            self._budget.leave(key)

    def _is_whole(self, out: Path) -> bool:
        """Whether a video that was fetched before is there and decodes; else it is fetched again."""
        assert self._probe is not None
        try:
            self._probe(out)
        except SampleError:
            return False
        return True

    def _accepted(self, request: Request, key: str) -> RemoteJob:
        """Submit until the server takes the job, or says that it won't. Raises `NoJob`."""
        assert self._log is not None
        try:
            self._budget.reserve(key)
        except OverBudget as over:
            raise NoJob(failed(Reason.BUDGET, str(over), transient=True)) from None
        except BudgetStopped:
            raise Stopped from None
        waited = 0.0
        try:
            for attempt in range(TRIES):
                self.pacing.wait_for_rate()
                with self._like(request):  # a look-up must not see a job whose id is not logged yet
                    sent = self._intent(request, key)
                    if self.pacing.stopped:
                        self._log.write(key, "rejected")  # it was not sent
                        raise Stopped
                    try:
                        return self._logged(self.submit(request, key), key)
                    except Rejected as no:
                        self._log.write(key, "rejected")
                        if no.refusal:
                            raise NoJob(refused(str(no))) from None
                        if not no.again or attempt == TRIES - 1:
                            raise NoJob(failed(Reason.REJECTED, str(no), no.again)) from None
                        pause = self.pacing.before(attempt, no.after)
                    except Unknown as unknown:
                        found = self._look_up(request, key, sent, str(unknown))
                        if found is not None:
                            return found
                        pause = self.pacing.before(attempt, None)
                waited += pause
                if waited > self.options.deadline:
                    message = "no job was accepted in time"
                    raise NoJob(failed(Reason.TIME_LIMIT, message, transient=True))
                self.pacing.wait(pause)
            raise NoJob(failed(Reason.REJECTED, f"{TRIES} submits failed", transient=True))
        except (
            BaseException
        ):  # whatever ends it, Ctrl-C too, goes on up; the money set aside is settled first
            last = self._log.last(key)
            if last is not None and last["event"] in ("unknown", "intent"):
                self._budget.leave(key)  # it may have been taken, and cost
            else:
                self._budget.release(key)
            raise

    def _like(self, request: Request) -> threading.Lock:
        """Held while a request's words and seed are on their way: no other request is taken for it."""
        with self._slots:
            return self._asking[request.prompt.text, request.seed]

    def _intent(self, request: Request, key: str) -> dict[str, Any]:
        """Log a submit before it is sent, with what is known of the server's clock, since ours may be set
        before anybody looks for the job."""
        assert self._log is not None
        about = {"prompt_id": request.prompt.id, "seed": request.seed, "ahead": self.clock_ahead()}
        sent = self._log.write(key, "intent", **about)
        return {"time": sent.isoformat(), **about}

    def _logged(self, job: RemoteJob, key: str) -> RemoteJob:
        """A job that the server took, in the log. Raises `NoJob` for one that is another request's."""
        assert self._log is not None
        message = ""
        if len(job.id) > LONGEST_ID or redacted(job.id) != job.id:
            message = "the server answered with a job id that cannot be kept: too long, or it holds the key"
        elif self._log.key_of(job.id) not in (None, key):
            message = f"the server answered with the job {job.id!r:.100}, which is another request's"
        if message:
            self._log.write(key, "unknown", message=message)
            raise NoJob(failed(Reason.SUBMIT_UNKNOWN, message))
        try:
            self._log.write(key, "accepted", job=job.id, extra=job.extra)
        except RunError as error:  # the id is all that is left of what may be paid for
            raise RunError(
                f"{error}; the server has accepted the job {job.id!r}, which is not logged"
            ) from None
        return job

    def _look_up(self, request: Request, key: str, sent: dict[str, Any], why: str = "") -> RemoteJob | None:
        """The job that a submit may have made; None if there is none. Raises `NoJob` where nobody knows."""
        assert self._log is not None
        said = f"{UNKNOWN} ({why})" if why else UNKNOWN
        if self.can_list:
            try:
                job = self._found(request, key, *_server_times(sent))
            except Unknown as several:
                said = f"{UNKNOWN}: {several}"
            except Trouble as trouble:
                # The intent stays open: the next start looks again.
                said = f"{UNKNOWN}, and the server's list cannot be read: {trouble}"
                raise NoJob(failed(Reason.SUBMIT_UNKNOWN, said, transient=True)) from None
            else:
                return None if job is None else self._logged(job, key)
        self._log.write(key, "unknown", message=said)
        raise NoJob(failed(Reason.SUBMIT_UNKNOWN, said))

    def _found(self, request: Request, key: str, since: float, surely: float) -> RemoteJob | None:
        """`find`, asked twice where there is nothing: a list may lag behind."""
        log = self._log
        assert log is not None
        for attempt in range(2):
            job = self._tried(
                lambda: self.find(request, key, since, surely, log.ids()), self.options.deadline
            )
            if job is not None or attempt:
                return job
            self.pacing.wait(self.pacing.before(0, None))
        raise AssertionError

    def _follow(self, job: RemoteJob, key: str, out: Path, deadline: float) -> Generation:
        """Poll a job until it ends, and fetch its video."""
        assert self._log is not None
        troubles = expired = lost = 0
        while True:
            try:
                status = self.poll(job)
                troubles, lost = 0, lost + 1 if status.state == "lost" else 0
            except Trouble as trouble:
                troubles += 1
                if not self._sleep(self.pacing.before(troubles, trouble.after), deadline):
                    return late(job, str(trouble))
                continue
            if status.state == "waiting" or 0 < lost < LOST:
                if not self._sleep(self.options.poll * random.uniform(0.9, 1.1), deadline):
                    return late(job, "the job has not ended")
                continue
            cost = status.cost if status.cost is not None else self.options.price
            if status.state != "done":
                made = ended(job, status)
                self._end(key, job, made)
                return made
            try:
                self._fetch(job, status, out, deadline)
            except Trouble as trouble:
                expired += trouble.expired
                if (
                    trouble.expired
                    and expired < TRIES
                    and self._sleep(self.pacing.before(expired, None), deadline)
                ):
                    continue  # a fresh poll may give a fresh address
                message = f"the job is done, its video could not be fetched: {trouble}"
                return failed(Reason.DOWNLOAD_FAILED, message, transient=True, job_id=job.id)
            made = Generation("ok", out, cost=cost, job_id=job.id, details=status.details)
            self._end(key, job, made)
            return made

    def _end(self, key: str, job: RemoteJob, made: Generation) -> None:
        assert self._log is not None
        told: dict[str, Any] = {"status": made.status, "cost": made.cost, "details": dict(made.details)}
        told |= {"reason": made.reason, "message": made.message}
        self._log.write(key, "ended", job=job.id, extra=job.extra, **told)
        self._budget.pay(key, made.cost, made.status == "ok")

    def _fetch(self, job: RemoteJob, status: JobStatus, out: Path, deadline: float) -> None:
        """A video that decodes, at its place. Raises `Trouble`."""
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.stem}.partial{out.suffix}")

        def once() -> None:
            # A job that is done is worth a minute beyond its deadline.
            self.download(job, status, partial, max(60.0, deadline - time.monotonic()))
            try:
                assert self._probe is not None
                self._probe(partial)
            except SampleError as error:
                raise Trouble(f"what came does not decode: {error}") from None

        try:
            self._tried(once, max(60.0, deadline - time.monotonic()))
            partial.replace(out)
            settle(out, out.parent)  # before the log says that the job has ended
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
                pause = self.pacing.before(attempt, trouble.after)
                if attempt == TRIES - 1 or trouble.expired or time.monotonic() + pause > end:
                    raise
                self.pacing.wait(pause)
        raise AssertionError

    def _sleep(self, seconds: float, deadline: float) -> bool:
        """Sleep; False where the deadline comes first."""
        if time.monotonic() + seconds > deadline:
            return False
        self.pacing.wait(seconds)
        return True


def _server_times(sent: dict[str, Any]) -> tuple[float, float]:
    """Times of the server's clock before which a submit cannot, and can hardly, have reached it. A job's time
    need not be of the clock that a server's answers have, so neither is exact."""
    written, ahead = datetime.fromisoformat(sent["time"]).timestamp(), sent.get("ahead")
    since = written - SKEW
    return since, since if ahead is None else written + float(ahead) - SLACK
