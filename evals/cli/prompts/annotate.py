"""`prompts annotate`: annotations for a list of one's own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH
from evals.cli.output import say, tell
from evals.errors import RunError, UsageError

if TYPE_CHECKING:
    from evals.records import Prompt
    from evals.remote.chat import Chat


@click.command(name="annotate")
@click.argument("file", type=PATH)
@click.option("--out", type=PATH, help="Where the set is written (default: FILE with the ending .yaml).")
@click.option(
    "--model",
    metavar="openai-chat:MODEL[@URL]",
    help="Ask a language model first; rules fill what it leaves.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def command(file: Path, out: Path | None, model: str | None, force: bool) -> int:  # fmt: skip
    """Annotate the prompts of FILE: subjects, counts, colours, place, motion, camera, and questions.

    FILE is a list (.txt, .jsonl, .csv) or a set (.yaml, another suite's .json). What is there is kept; what
    was guessed is marked as guessed, with what guessed it."""
    from evals import prompts
    from evals.annotate.model import INSTRUCTIONS
    from evals.prompts.writer import dump
    from evals.remote.chat import Chat

    found = prompts.load(file)
    place = out or file.with_suffix(".yaml")
    if place.exists() and not force:
        raise RunError(f"{place}: exists already; give another place with --out, or --force")
    with ExitStack() as stack:
        chat = None
        if model:
            chat = Chat(model, INSTRUCTIONS, "--model")
            stack.callback(chat.close)
        made = tuple(_annotated(prompt, chat) for prompt in found.prompts)
    text = dump(found.model_copy(update={"prompts": made}))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{place}: cannot be written: {error.strerror}") from None
    fields = sum(len(prompt.guessed) for prompt in made)
    tell(f"wrote {place}: {len(made)} prompts, {fields} fields guessed")
    tell("Rules misread words: read every field, mend it, and take it out of 'guessed'. Then check the set:")
    tell(f"t2v-evals prompts lint {place}")
    return 0


def _annotated(prompt: Prompt, chat: Chat | None) -> Prompt:
    """By the model, where there is one and its answer can be used; the rest by rules."""
    from evals.annotate import ask_model, guess

    if chat is not None:
        try:
            prompt = ask_model(prompt, chat)
        except UsageError as error:
            say(f"warning: {error}; by rules instead")
    return guess(prompt)
