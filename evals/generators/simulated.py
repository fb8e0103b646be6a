"""`simulated:clean` and `simulated:FLAW[@STRENGTH]`: worlds drawn from a prompt's annotations.

Needs no weights, no GPU and no network. What cannot be drawn is refused, with the reason.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import cv2
import pymunk
from pydantic import Field

from evals.errors import Reason, UnknownName, UsageError
from evals.generators.base import Generation, Generator, failed
from evals.records import Prompt, Record, Request, Settings, Spec
from evals.worlds import FLAWS, Film

WIDTH, HEIGHT, FRAMES, FPS = 256, 192, 24, 12.0


class Simulated(Generator):
    """Scenes with known physics, drawn from a prompt's annotations; `clean` or with one flaw."""

    class Options(Record):
        """`strength` of the flaw (0: none, 1: the most); `noise` of the camera in grey levels (standard
        deviation); `crf` of H.264; `trajectories`: write where everything truly is to a `.json` beside each
        video."""

        strength: Annotated[float, Field(ge=0, le=1)] | None = None
        noise: Annotated[float, Field(ge=0, le=64)] = 0.0
        crf: Annotated[int, Field(ge=0, le=51)] = 18
        trajectories: bool = False

    accepts = frozenset({"width", "height", "frames", "fps"})
    concurrency = 64  # as many as there are cores

    def __init__(self, argument: str, options: Options) -> None:
        name, at, given = argument.partition("@")
        if name != "clean" and name not in FLAWS:
            raise UnknownName("simulated world", name, ["clean", *FLAWS])
        strength = options.strength
        if at:
            if strength is not None:
                raise UsageError(f"simulated:{argument}: the strength is given twice")
            strength = _strength(argument, given)
        if name == "clean" and strength is not None:
            raise UsageError("simulated:clean has no flaw, so it takes no strength")
        self.flaw, self.options = name, options
        self.strength = 0.5 if strength is None else strength
        self.label = f"simulated:{name}" + ("" if strength is None else f"@{strength:g}")
        params: dict[str, Any] = {"flaw": name, "noise": options.noise, "crf": options.crf}
        if name != "clean":
            params["strength"] = self.strength
        if options.trajectories:
            params["trajectories"] = True
        self._idle: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self.spec = Spec(name="simulated", version=3, params=params)

    def identity(self, request: Request) -> Any:
        """The annotations, and the versions of what computes and draws: another may give other bytes."""
        return {"prompt": request.prompt.to_json(), "pymunk": pymunk.version, "opencv": cv2.__version__}

    def generate(self, request: Request, out: Path) -> Generation:
        film = self.film(request.prompt, request.seed, request.settings)
        out.parent.mkdir(parents=True, exist_ok=True)
        fields = {**vars(film), "prompt": request.prompt.to_json()}
        truth = str(out.with_suffix(".json")) if self.options.trajectories else None
        order = {"film": fields, "out": str(out), "crf": self.options.crf, "truth": truth}
        answer = self._ask(order)
        if answer is None:
            return failed(Reason.GENERATOR_ERROR, "the process that draws has died", transient=True)
        if answer["status"] == "ok":
            return Generation("ok", out)
        return Generation(answer["status"], reason=Reason(answer["reason"]), message=answer["message"])

    def _ask(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """Have a film made by a process of its own that is free, or by a new one; None if it dies."""
        with self._lock:
            studio = self._idle.pop() if self._idle else None
        if studio is None:
            command = [sys.executable, "-m", "evals.worlds.studio"]
            studio = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert studio.stdin is not None and studio.stdout is not None
        try:
            studio.stdin.write(json.dumps(order) + "\n")
            studio.stdin.flush()
            line = studio.stdout.readline()
        except OSError:
            line = ""
        if not line:
            _end(studio)
            return None
        with self._lock:
            self._idle.append(studio)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the processes that draw; the next film starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for studio in idle:
            _end(studio)

    def film(self, prompt: Prompt, seed: int, settings: Settings) -> Film:
        """The film of a request; what the settings leave open is 24 frames of 256 × 192 at 12 fps."""
        return Film(
            prompt,
            seed,
            width=settings.width or WIDTH,
            height=settings.height or HEIGHT,
            frames=settings.frames or FRAMES,
            fps=settings.fps or FPS,
            flaw=self.flaw,
            strength=self.strength,
            noise=self.options.noise,
        )


def _end(studio: subprocess.Popen[str]) -> None:
    for pipe in (studio.stdin, studio.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        studio.wait(5)
    except subprocess.TimeoutExpired:
        studio.kill()
        studio.wait()


def _strength(argument: str, given: str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"simulated:{argument}: the strength after '@' is a number from 0 to 1")
    return value
