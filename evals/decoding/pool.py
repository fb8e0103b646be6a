"""Starts decoder processes, feeds them jobs, and replaces those that crash, hang or outgrow a limit."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from evals.decoding import wire
from evals.errors import (
    DecoderDied,
    DoesNotApply,
    FileUnavailable,
    Reason,
    SampleError,
    UsageError,
    VideoError,
    is_machine_fault,
)
from evals.records import VideoFacts
from evals.runs.files import Measured
from evals.runs.leash import ActiveClock, Leashed
from evals.runs.secrets import without_secrets
from evals.video import Limits

START_SECONDS = 120.0
LOOK_SECONDS = 0.2  # between looks at limits


@dataclass(frozen=True)
class DecoderJob:
    """One file for one worker. `kind` is `probe`, `preview` or `extract`; `tag` is the caller's."""

    path: Path
    kind: str
    tag: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something a job gave: a message of its worker, or the error that ended it."""

    job: DecoderJob
    message: wire.Message | None = None
    error: SampleError | None = None

    @property
    def kind(self) -> str:
        """`plan`, `frames`, `window` (of a pair), `restart`, `done`, or `error`."""
        return "error" if self.message is None else str(self.message.head["type"])


def default_workers() -> int:
    """One decoder per usable core, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores))


class _Worker:
    def __init__(self, limits: Limits, plugins: list[str]) -> None:
        self.socket, child = socket.socketpair()
        self.stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        # The package may be a checkout on sys.path rather than installed: workers must find the same one.
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        try:
            with child:
                self.process = Leashed(  # in a session of its own: Ctrl-C is the parent's to handle
                    [sys.executable, "-m", "evals.decoding.worker", str(child.fileno())],
                    pass_fds=[child.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self.stderr,
                    env={**without_secrets(os.environ), **threads, "PYTHONPATH": path},
                )
        except BaseException:
            self.socket.close()
            self.stderr.close()
            raise
        wire.send(self.socket, {"limits": asdict(limits), "plugins": plugins})
        self.socket.setblocking(False)
        self.receiver = wire.Receiver()
        self.job: DecoderJob | None = None
        self.ready = False
        self.started = self.heard = 0.0

    def assign(self, job: DecoderJob, now: float) -> None:
        self.job, self.started, self.heard = job, now, now
        self.socket.setblocking(True)
        try:
            wire.send(self.socket, {"kind": job.kind, "path": str(job.path), **job.fields})
        finally:
            self.socket.setblocking(False)

    def stop(self) -> int:
        self.socket.close()
        code = self.process.end()
        self.stderr.close()
        return code

    def last_words(self) -> str:
        self.stderr.seek(0, os.SEEK_END)
        self.stderr.seek(max(0, self.stderr.tell() - 500))
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _error(head: Mapping[str, Any]) -> SampleError:
    """What a worker says of a job that gave nothing."""
    kind = DoesNotApply if head["kind"] == "skip" else FileUnavailable if head["again"] else VideoError
    return kind(head["message"], Reason(head["reason"]))


class Pool:
    """A set of decoder processes; use as a context manager.

    `run` may be called again and again; workers are kept between calls.
    """

    def __init__(
        self, workers: int | None = None, limits: Limits | None = None, plugins: Iterable[Path] = ()
    ) -> None:
        self.size = workers or default_workers()
        self.limits = limits or Limits()
        self.plugins = [str(p.resolve()) for p in plugins]
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._clock = ActiveClock()
        self._asking = threading.Lock()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in list(self._workers):
            self._drop(worker)
        self._selector.close()

    def ask(self, job: DecoderJob) -> wire.Message:
        """Run one job to its end and give its last message; raises what ended it. Threads take turns."""
        last = None
        with self._asking:
            for event in self.run([job]):
                if event.error is not None:
                    raise event.error
                last = event.message
        assert last is not None
        return last

    def probe(self, path: Path) -> Measured:
        """A file's facts and hash. Raises `SampleError` for what is not a usable video."""
        head = self.ask(DecoderJob(path, "probe")).head
        return Measured(VideoFacts.model_validate(head["facts"]), head["sha256"], head["size"])

    def run(self, jobs: Iterable[DecoderJob]) -> Iterator[Event]:
        """Run all jobs; yields what they give as it comes, and for each one `done` or `error` at its end.

        Time the caller spends between events does not count against a job's limits.
        """
        waiting = iter(jobs)
        upcoming = next(waiting, None)
        try:
            while upcoming is not None or any(w.job for w in self._workers):
                while upcoming is not None and (worker := self._idle()) is not None:
                    if self._assign(worker, upcoming):
                        upcoming = next(waiting, None)
                for event in self._step():
                    before = time.monotonic()
                    yield event
                    self._clock.left_out(time.monotonic() - before)
        finally:
            for worker in [w for w in self._workers if w.job]:
                self._drop(worker)  # the caller stopped early; half a job is of no use

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.job is None:
                return worker
        if len(self._workers) < self.size:
            try:
                worker = _Worker(self.limits, self.plugins)
            except OSError as error:
                if not is_machine_fault(error):
                    raise
                if self._workers:
                    self.size = len(self._workers)  # as many as there can be
                    return None
                raise UsageError(
                    f"no decoder process can be started: {error.strerror}; a limit of this machine or shell"
                    " (ulimit -n, ulimit -u) is too low"
                ) from None
            self._workers.append(worker)
            self._selector.register(worker.socket, selectors.EVENT_READ, worker)
            return worker
        return None

    def _assign(self, worker: _Worker, job: DecoderJob) -> bool:
        if worker.process.poll() is not None:  # died while idle: not this job's doing
            self._drop(worker)
            return False
        try:
            worker.assign(job, self._clock.now())
        except OSError:
            worker.job = None
            self._drop(worker)
            return False
        return True

    def _drop(self, worker: _Worker) -> int:
        self._workers.remove(worker)
        self._selector.unregister(worker.socket)
        return worker.stop()

    def _step(self) -> list[Event]:
        events: list[Event] = []
        before = time.monotonic()
        ready = self._selector.select(timeout=LOOK_SECONDS)
        self._clock.waited(before, LOOK_SECONDS)
        for key, _ in ready:
            events += self._read(key.data)
        now = self._clock.now()
        for worker in list(self._workers):
            if worker.job is None:
                continue
            limits = self.limits
            if not worker.ready and now - worker.started < START_SECONDS:
                continue
            if now - worker.heard > limits.stall:
                what = f"the decoder made no progress for {limits.stall:g} s and was ended"
                reason = Reason.DECODER_STALLED
            elif now - worker.started > limits.seconds:
                what = f"decoding ran past the limit of {limits.seconds:g} s and was ended"
                reason = Reason.DECODER_TIME_LIMIT
            else:
                continue
            events.append(Event(worker.job, error=DecoderDied(what, True, reason)))
            self._drop(worker)
        return events

    def _read(self, worker: _Worker) -> list[Event]:
        try:
            data = worker.socket.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return self._death(worker)
        worker.heard = self._clock.now()
        events = []
        worker.receiver.feed(data)
        while (message := worker.receiver.next()) is not None:
            kind = message.head["type"]
            if kind == "ready":
                worker.ready, worker.started = True, worker.heard  # its start is not the video's time
            elif kind == "error" and message.head["kind"] == "usage":
                raise UsageError(message.head["message"])
            elif worker.job is not None and kind != "progress":
                job = worker.job
                if kind in ("done", "error"):
                    worker.job = None
                if kind == "error":
                    events.append(Event(job, error=_error(message.head)))
                    if message.head.get("last"):
                        self._drop(worker)  # it is leaving and must not get another job
                        return events
                else:
                    events.append(Event(job, message))
        return events

    def _death(self, worker: _Worker) -> list[Event]:
        job = worker.job
        try:
            worker.process.wait(5)
        except subprocess.TimeoutExpired:
            worker.process.kill()
        words = worker.last_words()
        code = self._drop(worker)
        if job is None:
            return []
        if not worker.ready:
            raise UsageError(f"the decoder process could not start (exit code {code}){words}")
        if code < 0:
            name = signal.Signals(-code).name
            what = f"the decoder crashed with {name}{words}"
            # SIGKILL is the system's out-of-memory killer or an operator; a crash will come again.
            return [Event(job, error=DecoderDied(what, transient=code == -signal.SIGKILL))]
        return [
            Event(job, error=DecoderDied(f"the decoder ended with exit code {code}{words}", transient=False))
        ]
