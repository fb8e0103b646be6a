"""`command:TEMPLATE`: any program, started for every video or once for all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field

from evals.errors import Reason, UsageError, is_machine_fault, nearest
from evals.generators.base import Generation, Generator, failed, refused
from evals.records import Record, Request, Spec, digest, file_sha256, is_regular
from evals.runs.leash import ActiveClock, Leashed
from evals.runs.secrets import redacted

FIELDS = ("prompt", "seed", "out", "width", "height", "frames", "fps")
TAIL = 2000  # characters of stderr that are kept
_FIELD = re.compile(r"\{([a-z_]+)\}")


class Command(Generator):
    """A program: `command:python make.py --prompt {prompt} --seed {seed} --out {out}`.

    The template is split into arguments first and filled in afterwards, and no shell ever sees it, so a
    prompt arrives as it is, whatever it holds. `{out}` is the file to write; `{width}`, `{height}`,
    `{frames}` and `{fps}` come from the run. Exit code 0 with a file is `ok`, `refused` (10) a refusal, 75 a
    failure that may be tried again, any other a failure; the end of stderr stays in the record.

    With `-o serve=true` the program is started once and reads a JSON line per video from its standard input,
    with the fields above; it answers with a line `{"status": "ok"}` (or `refused`, `failed`, with a
    `message`) on standard output; other lines there are ignored.
    """

    class Options(Record):
        """`time_limit` in seconds per video; `serve`: one process for all; `refused`: the exit code of a
        refusal; `concurrency`: how many at once; `suffix` of the file that the program writes."""

        time_limit: Annotated[float, Field(gt=0, le=864_000)] = 3600.0
        serve: bool = False
        refused: Annotated[int, Field(ge=1, le=255)] = 10
        concurrency: Annotated[int, Field(ge=1, le=256)] = 1
        suffix: Annotated[str, Field(pattern=r"^\.[a-z0-9]{2,5}$")] = ".mp4"

    def __init__(self, argument: str, options: Options) -> None:
        try:
            self.words = shlex.split(argument)
        except ValueError as error:
            raise UsageError(f"command:{argument}: {error}") from None
        used = set(_FIELD.findall(argument))
        for name in used:
            if name not in FIELDS:
                raise UsageError(f"command: unknown field {{{name}}}{nearest(name, FIELDS)}")
        needed = set() if options.serve else {"prompt", "out"}
        if lacks := needed - used:
            raise UsageError(f"command:{argument}: lacks {{{'}, {'.join(sorted(lacks))}}}")
        if options.serve and used:
            raise UsageError("command: with serve=true the fields come as JSON lines, not in the arguments")
        self.options = options
        self.concurrency = 1 if options.serve else options.concurrency
        self.accepts = frozenset(
            ("width", "height", "frames", "fps") if options.serve else used & set(FIELDS[3:])
        )
        program = Path(self.words[0]).name if self.words else ""
        # Scripts and weights named in the command are part of what a video is.
        files = {w: file_sha256(Path(w)) for w in self.words if len(w) < 4096 and is_regular(Path(w))}
        script = next((Path(w).stem for w in self.words[1:] if w in files), program)
        # Two commands of one program are two generators, and so are their runs.
        self.label = f"command:{script}-{digest(self.words)[:6]}"
        params: dict[str, Any] = {"words": self.words, "files": files}
        for key in ("serve", "suffix"):
            params[key] = getattr(options, key)
        self.spec = Spec(name="command", version=1, params=params)
        self._server: _Server | None = None
        self._lock = threading.Lock()
        self._running: set[Leashed] = set()

    def generate(self, request: Request, out: Path) -> Generation:
        if "\0" in request.prompt.text and not self.options.serve:
            return failed(Reason.UNUSABLE_PROMPT, "the prompt holds a NUL, which no argument can")
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.stem}.partial{self.options.suffix}")
        partial.unlink(missing_ok=True)
        settings = request.settings.model_dump()
        fields = {"prompt": request.prompt.text, "seed": request.seed, "out": str(partial), **settings}
        made = self._serve(fields) if self.options.serve else self._start(fields)
        if made.status != "ok":
            partial.unlink(missing_ok=True)
            return made
        if not is_regular(partial):
            message = "the program ended without an error and wrote no file"
            return failed(Reason.NO_OUTPUT, message, details=made.details)
        final = out.with_suffix(self.options.suffix)
        partial.replace(final)
        return Generation("ok", final, details=made.details)

    def _start(self, fields: dict[str, Any]) -> Generation:
        def fill(word: str) -> str:
            return _FIELD.sub(lambda m: "" if fields[m[1]] is None else _plain(fields[m[1]]), word)

        with tempfile.TemporaryFile() as errors:
            try:
                process = Leashed(
                    [fill(word) for word in self.words],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                )  # fmt: skip
            except OSError as error:
                return _not_started(self.words[0], error)
            self._running.add(process)
            try:
                code = _exit_code(process, self.options.time_limit)
            finally:
                self._running.discard(process)
                process.end()
            if code is None:
                return self._late(_tail(errors))
            return self._outcome(code, _tail(errors))

    def _outcome(self, code: int, details: dict[str, Any]) -> Generation:
        said = str(details.get("stderr", "")).strip().splitlines()
        last = f": {said[-1]:.300}" if said else ""
        if code == 0:
            return Generation("ok", details=details)
        if code == self.options.refused:
            return refused(f"the program refused{last}", details=details)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return failed(Reason.GENERATOR_ERROR, f"{how}{last}", code in (75, -9), details=details)

    def _late(self, details: dict[str, Any]) -> Generation:
        message = f"took more than {self.options.time_limit:g} s"
        return failed(Reason.TIME_LIMIT, message, transient=True, details=details)

    def _serve(self, fields: dict[str, Any]) -> Generation:
        with self._lock:
            if self._server is None or not self._server.alive():
                self.close()
                try:
                    self._server = _Server(self.words)
                except OSError as error:
                    return _not_started(self.words[0], error)
            answer = self._server.ask(fields, self.options.time_limit)
            if isinstance(answer, str):
                details = self._server.stderr()
                self.close()
                if answer == "time":
                    return self._late(details)
                return failed(Reason.GENERATOR_ERROR, answer, transient=True, details=details)
        status, message = answer.get("status"), str(answer.get("message", ""))
        details = {k: v for k, v in answer.items() if k not in ("status", "message")}
        if status == "ok":
            return Generation("ok", details=details)
        if status == "refused":
            return refused(message, details=details)
        if status == "failed":
            transient = bool(answer.get("transient"))
            return failed(Reason.GENERATOR_ERROR, message, transient, details=details)
        return failed(Reason.BAD_OUTPUT, f"the program answered with status {status!r:.60}")

    def stop(self) -> None:
        """Kill what runs, so that nobody waits for it."""
        for process in list(self._running):
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process that serves."""
        if self._server is not None:
            self._server.end()
            self._server = None


class _Server:
    """A long-lived program that answers JSON lines."""

    def __init__(self, words: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = Leashed(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._rest = b""

    def alive(self) -> bool:
        return self._process.poll() is None

    def stderr(self) -> dict[str, Any]:
        return _tail(self._errors)

    def ask(self, fields: dict[str, Any], limit: float) -> dict[str, Any] | str:
        """The answer, or why there is none: `time`, or a sentence."""
        asking, telling = self._process.stdin, self._process.stdout
        assert asking is not None and telling is not None
        clock = ActiveClock()
        deadline = clock.now() + limit
        left = memoryview(json.dumps(fields).encode() + b"\n")
        with selectors.DefaultSelector() as ready:
            ready.register(telling, selectors.EVENT_READ)
            while ready.select(0):  # what is said before it is asked answers nothing
                if not os.read(telling.fileno(), 1 << 16):
                    return self._gone()
            self._rest = b""
            ready.register(asking, selectors.EVENT_WRITE)
            while True:
                before, asked = time.monotonic(), min(1.0, max(0.0, deadline - clock.now()))
                events = ready.select(asked)
                clock.waited(before, asked)
                if not events and clock.now() >= deadline:
                    return "time"
                for key, _ in events:
                    if key.fileobj is asking:
                        try:
                            left = left[os.write(asking.fileno(), left[: 1 << 12]) :]
                        except OSError:
                            return self._gone()
                        if not left:
                            ready.unregister(asking)
                        continue
                    more = os.read(telling.fileno(), 1 << 16)
                    if not more:
                        return self._gone()
                    self._rest += more
                    if not left and (answer := self._answer()) is not None:
                        return answer

    def _answer(self) -> dict[str, Any] | None:
        """The first answer among the lines that have come."""
        while b"\n" in self._rest:
            line, _, self._rest = self._rest.partition(b"\n")
            with contextlib.suppress(ValueError, RecursionError):
                answer = json.loads(line)
                if isinstance(answer, dict) and "status" in answer:
                    return answer
        return None

    def _gone(self) -> str:
        try:
            return f"the program ended with code {self._process.wait(1)} before it answered"
        except subprocess.TimeoutExpired:
            return "the program closed its output before it answered"

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._process.end()
        self._errors.close()


def _exit_code(process: Leashed, limit: float) -> int | None:
    """A program's exit code, None where it takes longer than the limit; time for which this process was
    stopped does not count."""
    clock = ActiveClock()
    deadline = clock.now() + limit
    while True:
        before, asked = time.monotonic(), min(1.0, max(0.0, deadline - clock.now()))
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(asked)
        clock.waited(before, asked)
        if clock.now() >= deadline:
            return None


def _not_started(program: str, error: OSError) -> Generation:
    message = f"{program}: cannot be started: {error.strerror}"
    return failed(Reason.GENERATOR_ERROR, message, transient=is_machine_fault(error))


def _tail(errors: IO[bytes]) -> dict[str, Any]:
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 4 * TAIL))
    text = redacted(errors.read().decode(errors="replace"))[-TAIL:]
    return {"stderr": text} if text.strip() else {}


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
