"""`init`: a commented configuration file."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import PATH
from evals.cli.output import tell
from evals.errors import RunError

CONFIG = """\
# Options of `t2v-evals run --config {path}`; the command line has the last word.
# Any option of run, generate, score and compare can stand here under its long name (`out` is where runs are
# kept; compare does not read it). Paths are taken from the folder in which the command is run.

generator: folder:clips/modelA   # a folder with videos.jsonl: {{"path": "0.mp4", "prompt": "…"}}
# prompts: core                # standard sets, subsets or files; a folder needs none
# seeds: 3                       # seeds 0, 1, 2
# name: modelA-step-4000         # default: after the generator
out: runs

suite: quick                     # see `t2v-evals list suites`
# metrics: [temporal_flicker, "warping_error[dis]"]   # instead of a suite
# normalize: fps=8,seconds=2,short_side=256           # score all videos alike
# weights:
#   ViT-B-32-quickgelu/openai: weights/clip.safetensors

# plugin: [my_metric.py]
# workers: 4
# device: auto
# retry: transient               # none | transient | all
"""


@click.command(name="init")
@click.argument("path", type=PATH, default=Path("eval.yaml"))
def command(path: Path) -> int:
    """Write a commented configuration file to PATH."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(CONFIG.format(path=path.name))
    except FileExistsError:
        raise RunError(f"{path}: exists already; it is left as it is") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None
    tell(f"wrote {path}; use it with: t2v-evals run --config {path}")
    return 0
