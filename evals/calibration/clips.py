"""The clips that controls are asked about: each is known to show its prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import generators, prompts
from evals.decoding.resources import Resources
from evals.errors import CannotDraw, UsageError
from evals.generate import RunConfig, generate_run
from evals.judges.base import Judge
from evals.records import Prompt, PromptSet, Question, digest
from evals.runs.folder import RunFolder
from evals.worlds import Film

CLIPS, MOST = 12, 24
SETS = ("parks", "animals")
MOVING = ("medium", "high")


@dataclass(frozen=True)
class ControlClip:
    """A clip, and the prompt that it is known to show."""

    prompt: Prompt
    sha256: str
    path: Path

    @property
    def kinds(self) -> set[str]:
        """The things that its prompt asks for."""
        return {subject.kind for subject in self.prompt.subjects}


def certain(prompt: Prompt) -> list[Question]:
    """The questions to which a matching clip says yes, and another prompt's no: whether a thing is there."""
    return [q for q in prompt.questions if q.kind == "subject" and q.answer == "yes" and not q.depends_on]


def is_moving(prompt: Prompt) -> bool:
    """Whether something plainly moves in a clip that shows the prompt."""
    return prompt.motion in MOVING


def control_clips(judge: Judge, folder: Path, resources: Resources) -> tuple[list[ControlClip], str]:
    """The control clips of a judge and what they are: those of the run that its options name, else simulated
    ones, kept in `folder`."""
    given = judge.options.controls
    if given is not None:
        return clips_of(RunFolder(given)), f"clips of run {given.resolve().name}"
    return simulated_clips(folder, resources), "simulated clips"


def clips_digest(clips: Sequence[ControlClip]) -> str:
    """Of the clips and their prompts."""
    return digest([[clip.sha256, clip.prompt.to_json()] for clip in clips])


def simulated_clips(folder: Path, resources: Resources) -> list[ControlClip]:
    """Simulated clips of the same prompts for every judge, kept as a run in `folder`."""
    chosen = PromptSet(name="controls", prompts=tuple(_drawable()))
    generator = generators.create("simulated:clean")
    run = generate_run(RunConfig(generator, folder, chosen), resources)
    return clips_of(run)


def _drawable() -> Iterator[Prompt]:
    """The first prompts of each set that can be drawn, move, and ask for a thing that none before did."""
    for name in SETS:
        seen: set[str] = set()
        taken = 0
        for prompt in prompts.named(name).prompts:
            kinds = {subject.kind for subject in prompt.subjects}
            if not (certain(prompt) and is_moving(prompt)) or kinds & seen or prompt.paraphrase_of:
                continue
            try:
                _ = Film(prompt, 0).scene
            except CannotDraw:
                continue
            seen |= kinds
            taken += 1
            yield prompt
            if taken == CLIPS // len(SETS):
                break


def clips_of(run: RunFolder) -> list[ControlClip]:
    """The clips of a run whose prompts ask whether a thing is there: the first seed of at most 24 prompts,
    drawn by their ids. Raises `UsageError` where they are too few to control anything."""
    samples, by_prompt = run.samples(), dict[str, ControlClip]()
    for at in run.sample_ids():
        sample, prompt = samples.get(at), run.prompts[at[0]]
        if sample is not None and sample.status == "ok" and certain(prompt) and at[0] not in by_prompt:
            by_prompt[at[0]] = ControlClip(prompt, str(sample.sha256), run.video_path(sample))
    chosen = sorted(by_prompt, key=lambda name: digest(["control", name]))[:MOST]
    found = [clip for name, clip in by_prompt.items() if name in chosen]
    if len(found) < 2 or not any(others(found)):
        raise UsageError(
            f"{run.path}: controls need clips of two prompts or more with different subjects, and questions"
            " of the kind `subject`"
        )
    return found


def others(clips: Sequence[ControlClip]) -> list[ControlClip | None]:
    """For each clip another one that shows none of its things: the next such one, in a circle."""
    found: list[ControlClip | None] = []
    for i, clip in enumerate(clips):
        around = [*clips[i + 1 :], *clips[:i]]
        found.append(next((one for one in around if not one.kinds & clip.kinds), None))
    return found
