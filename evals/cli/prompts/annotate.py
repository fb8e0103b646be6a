"""`prompts annotate`: annotations for a list of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH
from evals.cli.output import say, tell
from evals.cli.results import SOME_FAILED
from evals.errors import RunError, UsageError

if TYPE_CHECKING:
    from evals.records import Prompt, PromptSet
    from evals.remote.chat import Chat


GIVE_UP = 5  # answers that could not be used, after which the model is not asked again


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
    was guessed is marked as guessed, with what guessed it. Exit code 4 where a model's answer could not be
    used."""
    from evals import prompts
    from evals.annotate.model import INSTRUCTIONS
    from evals.prompts.language import words
    from evals.remote.chat import Chat

    found = prompts.load(file)
    place = out or file.with_suffix(".yaml")
    if place.exists() and not force:
        raise RunError(f"{place}: exists already; give another place with --out, or --force")
    words("a word")  # says what is not installed before anything is asked
    _write(place, found, [])
    made: list[Prompt] = []
    failed = 0
    chat = Chat(model, INSTRUCTIONS, "--model") if model else None
    try:
        for prompt in found.prompts:
            asked = chat if failed < GIVE_UP and not (prompt.subjects and prompt.questions) else None
            one, complete = _annotated(prompt, asked)
            made.append(one)
            failed += not complete
    finally:  # stopped or not, what was made is kept
        _write(place, found, made)
        if chat is not None:
            chat.close()
    fields = sum(len(prompt.guessed) for prompt in made)
    tell(f"wrote {place}: {len(made)} prompts, {fields} fields guessed")
    if failed:
        rest = "; it was not asked about the rest" if failed >= GIVE_UP else ""
        say(f"warning: {failed} answers of the model could not be used, and rules stand in{rest}")
    tell("Rules misread words: read every field, mend it, and take it out of 'guessed'. Then check the set:")
    tell(f"t2v-evals prompts lint {place}")
    return SOME_FAILED if failed else 0


def _write(place: Path, found: PromptSet, made: Sequence[Prompt]) -> None:
    """The set with what is annotated so far; the same command with this file goes on from there."""
    from evals.prompts.writer import dump
    from evals.runs.journal import write_atomically

    every = (*made, *found.prompts[len(made) :])
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, dump(found.model_copy(update={"prompts": every})).encode())


def _annotated(prompt: Prompt, chat: Chat | None) -> tuple[Prompt, bool]:
    """By the model where there is one, the rest by rules; and whether the model's answer could be used."""
    from evals.annotate import ask_model, guess

    if chat is None:
        return guess(prompt), True
    try:
        return guess(ask_model(prompt, chat)), True
    except UsageError as error:
        say(f"warning: {error}; by rules instead")
        return guess(prompt), False
