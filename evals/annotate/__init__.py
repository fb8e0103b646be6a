"""Annotations for prompts that have none: by rules on their words, and by a language model. What is guessed
is marked as guessed."""

from evals.annotate.model import ask_model
from evals.annotate.rules import guess

__all__ = ["ask_model", "guess"]
