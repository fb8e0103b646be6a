"""What can be wrong with a film, each with a strength from 0 (nothing) to 1.

Everything else of the film stays as it is: the same prompt and seed give the same world with and
without the flaw, so two films can be compared in pairs. A flaw works on one of four levels: on what is
cast, on how an actor moves, on the order of the frames, or on the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from evals.errors import CannotDraw
from evals.records import Prompt
from evals.video import Frames
from evals.worlds.actors import Actor, Motion, Pose
from evals.worlds.brush import COLOURS, Colour, mix
from evals.worlds.kinds import KINDS, stand_ins
from evals.worlds.physics import LAWFUL, Defect
from evals.worlds.stage import Scene

Rng = np.random.Generator
Level = Literal["prompt", "world", "scene", "time", "picture"]


@dataclass(frozen=True)
class Flaw:
    """One kind of flaw: on which level it works, and what strength 1 means. `unit` is what a strength of
    1 amounts to, for the documentation."""

    name: str
    level: Level
    unit: str


FLAWS: dict[str, Flaw] = {
    flaw.name: flaw
    for flaw in (
        Flaw("flicker", "picture", "brightness of every frame off by 12 % (standard deviation)"),
        Flaw("jitter", "picture", "every frame shifted by 2 % of the short side (standard deviation)"),
        Flaw("blur", "picture", "Gaussian blur of 1.5 % of the short side; the strength scales its variance"),
        Flaw("noise", "picture", "Gaussian noise of 30 grey levels, new in every frame"),
        Flaw("frozen", "time", "the whole clip is its first frame; 0.2: a fifth of it stands still"),
        Flaw("shuffled", "time", "all frames in random order; 0.2: a fifth of them"),
        Flaw("reversed", "time", "runs backwards; 0.2: turns round after four fifths"),
        Flaw("low-fps", "time", "only every eighth frame is new"),
        Flaw("no-gravity", "world", "nothing falls; 0.2: a fall takes 1 / 0.8 of its time"),
        Flaw("upward-gravity", "world", "things fall upwards; 0.2: a fifth as fast"),
        Flaw("unequal-gravity", "world", "every second body falls as with 0.2 of the gravity"),
        Flaw("wrong-period", "world", "every second pendulum swings as with 0.2 of the gravity"),
        Flaw("energy-gain", "world", "all speeds grow by the factor e per second"),
        Flaw("momentum-created", "world", "two bodies that part are both twice as fast"),
        Flaw(
            "pass-through",
            "world",
            "things pass through each other, and through the ground where they bounce",
        ),
        Flaw("size-drift", "scene", "the main actor grows to twice its size over the clip"),
        Flaw("colour-drift", "scene", "the main actor turns to another colour over the clip"),
        Flaw("vanish", "scene", "the main actor is away for 60 % of the clip"),
        Flaw("teleport", "scene", "the main actor is off by half the picture's width for half of the clip"),
        Flaw("wrong-subject", "prompt", "another kind plays the part, the least alike; 0: the most alike"),
        Flaw("wrong-colour", "scene", "the main actors have another colour; 0.2: a fifth of it mixed in"),
    )
}


def recast(prompt: Prompt, strength: float, rng: Rng) -> Prompt:
    """`wrong-subject`: another kind in the part of the first subject that has a stand-in.

    Raises `CannotDraw` where nothing else can play it.
    """
    if not strength:
        return prompt
    others = [stand_ins(s.kind, s.action) for s in prompt.subjects]
    # Rather a part that something of quite another build can play.
    parts = sorted(range(len(others)), key=lambda i: (not _varied(prompt.subjects[i].kind, others[i]), i))
    for i in parts:
        if others[i]:
            rank = min(len(others[i]) - 1, int(strength * len(others[i])))
            subjects = list(prompt.subjects)
            subjects[i] = subjects[i].model_copy(update={"kind": others[i][rank]})
            return prompt.model_copy(update={"subjects": tuple(subjects)})
    raise CannotDraw("nothing else that can be drawn could play its part")


def _varied(kind: str, others: list[str]) -> bool:
    return any(KINDS[other].paint is not KINDS[kind].paint for other in others)


def defect_of(name: str, strength: float, law: str | None) -> Defect:
    """What a flaw on the level of the world does to its physics."""
    if not strength:
        return LAWFUL
    if name == "no-gravity":
        return Defect(gravity=(1.0 - strength) ** 2)  # times scale with 1 / (1 - strength)
    if name == "upward-gravity":
        return Defect(gravity=-strength)
    if name in ("unequal-gravity", "wrong-period"):
        swings = law == "pendulum"
        return Defect(second=1 - 0.8 * strength) if swings == (name == "wrong-period") else LAWFUL
    if name == "energy-gain":
        return Defect(gain=strength)
    if name == "momentum-created":
        return Defect(created=strength)
    return Defect(through="the ground" if law in ("gravity", "restitution") else "each other")


def spoil(scene: Scene, name: str, strength: float, duration: float, width: float, rng: Rng) -> Scene:
    """`vanish`, `teleport`, `size-drift`, `colour-drift` of the actor the scene is about, and `wrong-colour`
    of its whole group."""
    if not strength:
        return scene
    lead = scene.lead
    number = lead.name.split("-")[0]
    change: Callable[[Actor], Actor]
    if name == "wrong-colour":
        far = [
            c for c in COLOURS.values() if sum(abs(a - b) for a, b in zip(c, lead.colour, strict=True)) > 220
        ]
        other = far[int(rng.integers(len(far)))]

        def change(actor: Actor) -> Actor:
            mine = actor.name.split("-")[0] == number
            return replace(actor, colour=mix(actor.colour, other, strength)) if mine else actor

    elif name in ("size-drift", "colour-drift"):
        far = [
            c for c in COLOURS.values() if sum(abs(a - b) for a, b in zip(c, lead.colour, strict=True)) > 220
        ]
        other = far[int(rng.integers(len(far)))]
        drifting = _drifting(lead, duration, strength, None if name == "size-drift" else other)

        def change(actor: Actor) -> Actor:
            return actor.with_motion(drifting) if actor is lead else actor

    else:
        share = 0.6 * strength if name == "vanish" else 0.5
        start = float(rng.uniform(0.15, 0.85 - min(share, 0.65))) * duration
        end, way = start + share * duration, (0.5 if rng.uniform() < 0.5 else -0.5) * strength * width
        motion = (
            _gone(lead.motion, start, end) if name == "vanish" else _elsewhere(lead.motion, start, end, way)
        )

        def change(actor: Actor) -> Actor:
            return actor.with_motion(motion) if actor is lead else actor

    return replace(scene, actors=tuple(change(a) for a in scene.actors))


def _drifting(actor: Actor, duration: float, strength: float, colour: Colour | None) -> Motion:
    """Grows by its size, or turns to a colour, over the clip."""

    def drifted(t: float) -> Pose:
        pose, share = actor.motion(t), strength * min(1.0, t / duration)
        if colour is None:
            return replace(pose, grown=1 + share)
        return replace(pose, tinted=mix(actor.colour, colour, share))

    return drifted


def _gone(motion: Motion, start: float, end: float) -> Motion:
    def away(t: float) -> Pose:
        pose = motion(t)
        return replace(pose, visible=pose.visible and not start <= t < end)

    return away


def _elsewhere(motion: Motion, start: float, end: float, way: float) -> Motion:
    def jumped(t: float) -> Pose:
        pose = motion(t)
        return replace(pose, x=pose.x + way) if start <= t < end else pose

    return jumped


def reorder(name: str, strength: float, count: int, rng: Rng) -> list[int]:
    """Which frame of the world is shown at each place of a film of `count` frames."""
    order = list(range(count))
    if count < 2:
        return order
    if not strength:
        return order
    if name == "frozen":
        held = max(1, round(strength * (count - 1)))
        start = int(rng.integers(0, count - held))
        return order[:start] + [start] * (held + 1) + order[start + held + 1 :]
    if name == "low-fps":
        every = 1 + max(1, round(7 * strength))
        return [k - k % every for k in order]
    if name == "reversed":
        back = strength * (count - 1)
        turn = max(count - 1 - back, 0.0)
        first = max(0.0, back - turn)
        return [round(first + (k if k <= turn else 2 * turn - k)) for k in order]
    # One random cycle through the places chosen: none of them keeps its frame.
    chosen = rng.permutation(count)[: max(2, round(strength * count))]
    for place, frame in zip(chosen, np.roll(chosen, 1), strict=True):
        order[int(place)] = int(frame)
    return order


def disturb(name: str, strength: float, frames: Iterator[Frames], rng: Rng) -> Iterator[Frames]:
    """`flicker`, `jitter`, `blur` and `noise` of the pictures."""
    for frame in frames:
        if not strength:
            yield frame
        elif name == "flicker":
            gain = 1 + 0.12 * strength * float(rng.normal())
            yield np.rint(np.clip(frame * gain, 0, 255)).astype(np.uint8)
        elif name == "jitter":
            dx, dy = rng.normal(0, 0.02 * strength * min(frame.shape[:2]), 2)
            shift = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
            size = (frame.shape[1], frame.shape[0])
            yield np.asarray(cv2.warpAffine(frame, shift, size, borderMode=cv2.BORDER_REFLECT_101))
        elif name == "blur":
            # By variance: a Gaussian far narrower than a pixel changes nothing.
            sigma = 0.015 * float(np.sqrt(strength)) * min(frame.shape[:2])
            yield np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma))
        else:
            noise = rng.normal(0, 30 * strength, frame.shape)
            yield np.rint(np.clip(frame + noise, 0, 255)).astype(np.uint8)
