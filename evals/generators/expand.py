"""Prompt rewriting as a recorded step: `--expand openai-chat:MODEL[@URL]`.

The generator gets the rewritten words, metrics score against the original, and both are recorded. A prompt is
rewritten once per run and kept in the run's journal of expansions, so that every seed gets the same words.
"""

from __future__ import annotations

import threading

from evals.errors import Reason
from evals.generators.base import Generation, Generator, Probe, failed
from evals.generators.rewording import Rewording
from evals.records import Prompt
from evals.remote.chat import Chat
from evals.remote.outcomes import Rejected, Unknown
from evals.runs.journal import Journal, read
from evals.runs.segments import Segments

INSTRUCTIONS = (
    "You rewrite prompts for a text-to-video model. Keep every subject, count, colour, action, place and"
    " camera movement that is named, and add what a camera would see: light, setting, textures, how things"
    " move. Don't add subjects or events. Answer with the new prompt alone, in one paragraph of at most 120"
    " words."
)


def expander(name: str) -> Chat:
    """From `openai-chat:MODEL[@URL]`. Raises `UsageError`."""
    return Chat(name, INSTRUCTIONS, "--expand")


class Expanded(Rewording):
    """A generator that is given prompts which a language model has rewritten."""

    def __init__(self, inner: Generator, chat: Chat) -> None:
        super().__init__(inner, "--expand", {"expand": chat.spec.to_json()})
        self._chat = chat
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._journal: Journal | None = None

    def begin(self, segments: Segments, probe: Probe) -> None:
        """Read the prompts that were rewritten in this run before."""
        for path in segments.known("expansions"):
            for _, record in read(path):
                if record.get("spec") == self._chat.spec.digest:
                    self._known[str(record["text"])] = str(record["sent"])
        self._journal = Journal(segments.own("expansions"))
        super().begin(segments, probe)

    def words(self, prompt: Prompt) -> str | Generation:
        text = prompt.text
        with self._lock:  # a prompt's seeds come at once; it is rewritten once
            if text not in self._known:
                try:
                    sent = self._chat.ask(text)
                except (Rejected, Unknown) as error:
                    message = f"the prompt could not be rewritten: {error}"
                    return failed(Reason.REWRITE_FAILED, message, transient=True)
                if self._journal is not None:
                    self._journal.append({"spec": self._chat.spec.digest, "text": text, "sent": sent})
                self._known[text] = sent
        return self._known[text]

    def stop(self) -> None:
        """Have threads that wait come back."""
        self._chat.stop()
        super().stop()

    def close(self) -> None:
        """Close the journal and whatever the generator holds."""
        self._chat.close()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        super().close()
