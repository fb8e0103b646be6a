"""From a prompt's annotations to a scene: who is there, what they do, where, and who looks on.

The scene depends on the prompt's id and annotations and on the seed, never on the prompt's words, and
neither on the frame rate nor on the number of frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from evals.errors import CannotDraw
from evals.records import Prompt, Subject
from evals.worlds import crowd
from evals.worlds.actors import Actor, Pose
from evals.worlds.brush import COLOURS, Camera, Colour
from evals.worlds.figures.people import PEOPLE_COLOURS
from evals.worlds.kinds import KINDS, cast
from evals.worlds.physics import GRAVITY, LAWFUL, Defect, Physics
from evals.worlds.places import BASE, PERIOD, PLACES, VIEW, Place, under_water
from evals.worlds.shared import Stage

SIZES = {"small": 0.7, "medium": 1.0, "large": 1.3}
LAWS = frozenset({
    "gravity", "projectile", "restitution", "rolling", "pendulum", "collision", "friction", "inertia",
    "rest", "buoyancy", "permanence", "continuity", "elasticity", "balance",
})  # fmt: skip
CAMERAS = frozenset({"static", "pan", "tracking", "tilt", "zoom", "handheld"})
MOST, LARGEST = 20, 3.2
REAL = (0.2, 1.5)  # metres of what is drawn in its real size, where the prompt gives one


@dataclass(frozen=True)
class Scene:
    """A world to look at. `actors` far to near; `period` the width after which the ground repeats, where
    the camera moves; `light` brightness by colour channel."""

    actors: tuple[Actor, ...]
    place: Place
    camera: Callable[[float], Camera]
    period: float | None
    seed: int
    light: Colour

    @property
    def lead(self) -> Actor:
        """The actor that the scene is about: the first that moves."""
        first = [a for a in self.actors if a.name.endswith("-0") and a.moving]
        named = sorted(first or self.actors, key=lambda a: int(a.name.split("-")[0]))
        return named[0]


def generator_of(*parts: object) -> np.random.Generator:
    """A random generator that depends on nothing but its arguments."""
    data = "\0".join(str(p) for p in parts).encode()
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(data).digest()[:16], "big")))


def view_height(aspect: float) -> float:
    """Metres that the camera sees from bottom to top: `VIEW`, more in an upright picture."""
    return VIEW / min(1.0, aspect)


def check(prompt: Prompt) -> None:
    """Whether a prompt can be drawn. Raises `CannotDraw` with the reason."""
    if not prompt.subjects:
        raise CannotDraw("the prompt has no annotated subjects; a simulated world is drawn from those alone")
    if prompt.cuts:
        raise CannotDraw("the prompt asks for a cut")
    if prompt.counterfactual:
        raise CannotDraw("the prompt asks for another outcome than the ordinary one")
    if prompt.place is not None and prompt.place not in PLACES:
        raise CannotDraw(f"there is no place {prompt.place!r} in the simulated worlds")
    if prompt.law is not None and prompt.law not in LAWS:
        raise CannotDraw(f"the simulated worlds do not know the law of {prompt.law}")
    if prompt.camera is not None and prompt.camera not in CAMERAS:
        raise CannotDraw(f"the simulated camera cannot do {prompt.camera!r}")
    if sum(s.count for s in prompt.subjects) > MOST + 10:
        raise CannotDraw(f"more than {MOST + 10} things at once cannot be drawn")
    kinds = {s.kind for s in prompt.subjects}
    if len(kinds & {"weight", "spring"}) == 1 or (prompt.law == "elasticity" and "weight" not in kinds):
        raise CannotDraw("of elastic things only weights that hang on springs can be drawn")
    able: set[str] = set()
    for subject in prompt.subjects:
        if subject.kind not in KINDS:
            raise CannotDraw(f"no {subject.kind!r} can be drawn")
        if subject.colour is not None and subject.colour not in COLOURS:
            raise CannotDraw(f"there is no colour {subject.colour!r} in the simulated worlds")
        if subject.metres is not None and not REAL[0] <= subject.metres <= REAL[1]:
            raise CannotDraw(f"a {subject.kind} of {subject.metres:g} m is not seen in its real size")
        actions = cast(subject.kind, subject.action).actions
        if subject.action is not None and subject.action not in actions:
            raise CannotDraw(f"a {subject.kind} that does {subject.action!r} cannot be drawn")
        able |= actions
    if prompt.action is not None and prompt.action not in able | {"collide", "throw"}:
        raise CannotDraw(f"nothing in it can be seen to {prompt.action!r}")


def stage(prompt: Prompt, seed: int, aspect: float = 1.0, defect: Defect = LAWFUL) -> Scene:
    """The scene of a prompt and seed in a picture of width/height `aspect`.

    `defect` breaks the laws of rigid bodies; who throws or jumps always reckons with real gravity. Raises
    `CannotDraw`.
    """
    check(prompt)
    rng = generator_of("world", prompt.id, seed)
    place = PLACES[prompt.place or "studio"]
    if place.style == "water" and any(_below_surface(s) for s in prompt.subjects):
        place = under_water(place)
    set_ = Stage(
        rng=rng,
        place=place,
        half=view_height(aspect) * aspect / 2,
        follows=prompt.camera in ("tracking", "pan"),
        physics=Physics(defect=defect),
        g=GRAVITY * defect.gravity,
        law=prompt.law,
        collide=prompt.action == "collide" or prompt.law == "collision",
    )
    set_.prepare(prompt)
    groups = [(i, s, _actors(i, s, rng)) for i, s in enumerate(prompt.subjects)]
    done: dict[int, list[Actor]] = {}
    # Who chases something needs to know where it goes; what rolls down a ramp, where that stands.
    for i, subject, group in sorted(groups, key=lambda g: _turn(g[1])):
        before = {prompt.subjects[j].kind: actors for j, actors in done.items()}
        done[i] = crowd.direct(set_, subject, group, before)
    actors = sorted((a for i in sorted(done) for a in done[i]), key=lambda a: -a.depth)
    warm = rng.uniform(-0.06, 0.06)
    bright = rng.uniform(0.88, 1.06)
    scene = Scene(
        actors=tuple(actors),
        place=place,
        camera=lambda t: Camera(0.0, view_height(aspect) / 2, view_height(aspect)),
        period=PERIOD if set_.follows else None,
        seed=int(rng.integers(1 << 40)),
        light=(bright * (1 + warm), bright, bright * (1 - warm)),
    )
    return replace(scene, camera=_camera(prompt, scene, aspect))


def _turn(subject: Subject) -> int:
    if KINDS[subject.kind].family in ("ramp", "wall"):
        return 0
    return 2 if subject.action == "chase" else 1


def _below_surface(subject: Subject) -> bool:
    family = KINDS[subject.kind].family
    return family in ("swimmer", "drifter") and subject.action != "jump"


def _actors(number: int, subject: Subject, rng: np.random.Generator) -> list[Actor]:
    """A subject's actors, not yet in their places."""
    kind = cast(subject.kind, subject.action)
    made = []
    for k in range(subject.count):
        variant = int(rng.integers(1 << 30))
        colour = COLOURS[subject.colour] if subject.colour else kind.colour
        if kind.family == "person" and not subject.colour:
            colour = PEOPLE_COLOURS[variant % len(PEOPLE_COLOURS)]
        size = min(kind.size * SIZES[subject.size or "medium"] * float(rng.uniform(0.94, 1.06)), LARGEST)
        if subject.metres is not None:
            size = subject.metres
        name = f"{number}-{subject.kind}-{k}"
        made.append(
            Actor(
                name, subject.kind, kind, size, colour, lambda t: Pose(0, BASE), BASE, variant, subject.action
            )
        )
    return made


def _camera(prompt: Prompt, scene: Scene, aspect: float) -> Callable[[float], Camera]:
    height = view_height(aspect)
    middle, lead, start = height / 2, scene.lead.motion, scene.lead.motion(0.0).x
    kind = prompt.camera
    if kind in ("tracking", "pan"):
        lag = 1.0 if kind == "tracking" else 0.8
        return lambda t: Camera(lag * (lead(t).x - start), middle, height)
    if kind == "tilt":
        return lambda t: Camera(0.0, middle + 0.8 * (1 - float(np.exp(-0.5 * t))), height)
    if kind == "zoom":
        return lambda t: Camera(0.0, middle - 0.12 * height * (1 - float(np.exp(-0.4 * t))),
                                height * (0.7 + 0.3 * float(np.exp(-0.4 * t))))  # fmt: skip
    if kind == "handheld":
        return lambda t: Camera(0.05 * float(np.sin(2.1 * t) + 0.5 * np.sin(5.3 * t)),
                                middle + 0.04 * float(np.sin(3.1 * t + 1)), height)  # fmt: skip
    return lambda t: Camera(0.0, middle, height)
