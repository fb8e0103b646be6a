"""`python:FILE.py:FUNCTION`: a function of the user's own that makes a video."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from evals.errors import Reason, SampleError, UsageError, nearest
from evals.generators import scalar
from evals.generators.base import Generation, Generator, refused
from evals.generators.frames import as_frames, write
from evals.records import Record, Request, Spec, file_sha256, is_regular
from evals.registry import import_file

GIVEN = ("prompt", "seed", "width", "height", "frames", "fps")


class PythonCallable(Generator):
    """A function in a file of yours: `python:my_model.py:generate`.

    It is called with `prompt` and, of `seed`, `width`, `height`, `frames` and `fps`, those it has parameters
    for; `-o KEY=VALUE` gives it others. It returns frames (NumPy, torch, a list of PIL pictures), or frames
    and their fps as a pair, or the path of a video file. Raising `evals.Refused` records a refusal. The file
    is code and runs with your rights; its hash is part of what a video is.
    """

    class Options(Record):
        """`play_fps` of what is written, where neither the run nor the function says; `crf` of H.264."""

        play_fps: Annotated[float, Field(gt=0, le=1000)] = 8.0
        crf: Annotated[int, Field(ge=0, le=51)] = 18

    takes_others = True

    def __init__(self, argument: str, options: Options, extra: Mapping[str, str] | None = None) -> None:
        file, colon, name = argument.rpartition(":")
        path = Path(file)
        if not colon or not is_regular(path):
            raise UsageError(f"python:{argument}: write python:FILE.py:FUNCTION, with a file that is there")
        self._take(_load(path, name), name, argument, options, extra or {})
        self.label = f"python:{path.stem}:{name}"
        params = {"code_sha256": file_sha256(path), "function": name, **options.to_json()}
        self.spec = Spec(name="python", version=1, params={**params, "arguments": self.extra})

    def _take(
        self, function: Callable[..., Any], name: str, argument: str, options: Options,
        extra: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Look at what a function can be given. Raises `UsageError`."""
        self.function, self.name = function, name
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            raise UsageError(f"python:{argument}: {name} is nothing that can be called") from None
        self.open = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self.known = frozenset(parameters)
        if "prompt" not in self.known and not self.open:
            raise UsageError(f"python:{argument}: {name} has no parameter 'prompt'")
        self.extra = {k: scalar(v) for k, v in extra.items()}
        for key in self.extra:
            if key in GIVEN or (key not in self.known and not self.open):
                raise UsageError(f"-o {key}: {name} has no such parameter{nearest(key, self.known)}")
        self.accepts = frozenset(k for k in GIVEN[2:] if self.open or k in self.known)
        self.options = options

    def generate(self, request: Request, out: Path) -> Generation:
        settings = {k: v for k, v in request.settings.model_dump().items() if v is not None}
        given = {"prompt": request.prompt.text, "seed": request.seed, **settings}
        given = {k: v for k, v in given.items() if self.open or k in self.known}
        try:
            found = self.function(**given, **self.extra)
        except Refused as refusal:
            return refused(str(refusal) or "refused")
        fps = request.settings.fps or self.options.play_fps
        if isinstance(found, tuple) and len(found) == 2 and np.ndim(found[1]) == 0:
            found, fps = found[0], _rate(found[1])
        if isinstance(found, str | Path):
            if not is_regular(Path(found)):
                raise SampleError(
                    f"{self.name} returned {str(found)!r}, where there is no file", Reason.NO_OUTPUT
                )
            out.parent.mkdir(parents=True, exist_ok=True)
            partial = out.with_name(f".{out.name}.partial")
            shutil.copyfile(found, partial)
            partial.replace(out)
        else:
            write(out, as_frames(found), fps, self.options.crf)
        return Generation("ok", out)


class InProcess(PythonCallable):
    """A function of this process, called as one in a file is; `spec` names it, and cannot know its code's
    neighbours, so every run of it belongs into a folder of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        self._take(function, name, name, self.Options(), {})
        self.label = f"python:{name}"
        self.spec = Spec(name="python", version=1, params={"function": name, "arguments": {}})


def _rate(value: Any) -> float:
    try:
        fps = float(value)
    except (TypeError, ValueError):
        fps = 0.0
    if not 0 < fps <= 1000:
        raise SampleError(f"the function returned a frame rate of {value!r:.60}", Reason.BAD_OUTPUT)
    return fps


class Refused(Exception):
    """What a function raises to say that it will not make a video of a prompt; recorded as `refused`."""


def _load(path: Path, name: str) -> Callable[..., Any]:
    module = import_file(path, f"evals_model_{file_sha256(path)[:16]}", f"python:{path}")
    function = getattr(module, name, None)
    if not callable(function):
        known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise UsageError(f"python:{path}:{name}: the file has no such function{nearest(name, known)}")
    return function  # type: ignore[no-any-return]
