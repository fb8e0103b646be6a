"""`python -m evals.worlds.studio`: makes films for another process, one JSON line each way.

A request is `{"film": …, "out": path, "crf": …, "truth": path or null}`; the answer `{"status": "ok" |
"refused" | "failed", "reason": code, "message": …}`. The end of the input ends the process."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import cv2

from evals.errors import CannotDraw, Reason
from evals.records import Prompt
from evals.runs.journal import write_atomically
from evals.video import encode
from evals.worlds.film import Film


def make(request: dict[str, Any]) -> dict[str, str]:
    """Make one film and write it. Errors that are not refusals are raised."""
    fields = dict(request["film"])
    film = Film(Prompt.model_validate(fields.pop("prompt")), **fields)
    try:
        _ = film.scene
    except CannotDraw as error:
        return {"status": "refused", "reason": error.reason, "message": str(error)}
    out = Path(request["out"])
    if request["truth"] is not None:
        truth = {"fps": film.fps, "width": film.width, "height": film.height, "actors": film.trajectories()}
        write_atomically(Path(request["truth"]), json.dumps(truth).encode())
    encode(out, film.pictures(), film.fps, crf=request["crf"])
    return {"status": "ok"}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's; it closes the pipe
    cv2.setNumThreads(1)
    for line in sys.stdin:
        try:
            answer = make(json.loads(line))
        except Exception as error:  # noqa: BLE001 - one film fails; the other process is told
            message = f"{type(error).__name__}: {error}"
            answer = {"status": "failed", "reason": Reason.GENERATOR_ERROR, "message": message}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
