"""What a rule of `prompts lint` finds."""

from __future__ import annotations

from evals.records import Prompt, PromptSet, Record


class Finding(Record):
    """Something to mend: the rule's name, the set, the prompt (empty: the whole set), another prompt that it
    is about, and a sentence."""

    rule: str
    set: str
    prompt: str = ""
    other: str = ""
    message: str


def about(rule: str, found: PromptSet, prompt: Prompt | None, message: str, other: str = "") -> Finding:
    """A finding about a prompt, or about a whole set."""
    return Finding(
        rule=rule, set=found.name, prompt=prompt.id if prompt else "", message=message, other=other
    )
