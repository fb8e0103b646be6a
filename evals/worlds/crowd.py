"""Who goes where: gives every actor of a scene its place and its motion.

One function per family of kinds. Rigid things go into the scene's physics; whoever moves by its own will
gets a motion from `moves`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from evals.errors import CannotDraw
from evals.records import Subject
from evals.worlds import moves, rigid
from evals.worlds.actors import Actor, Motion, Pose
from evals.worlds.kinds import KINDS
from evals.worlds.places import HORIZON, WATERLINE
from evals.worlds.shared import Stage

WALK = {
    "person": (0.75, 0.5, 0.42),
    "quadruped": (0.8, 0.75, 0.5),
    "bird": (0.5, 0.3, 0.5),
    "hopper": (0.5, 0.4, 0.4),
}
RUN = {
    "person": (2.1, 1.35, 0.95),
    "quadruped": (2.7, 1.5, 1.0),
    "bird": (2.0, 1.0, 0.95),
    "hopper": (1.2, 0.8, 0.8),
}
GROUND = frozenset(WALK)
RESTING = frozenset({"stand", "lie", "sleep", "eat", "sit"})


def direct(stage: Stage, subject: Subject, group: list[Actor], others: dict[str, list[Actor]]) -> list[Actor]:
    """A group of equal actors with their motions. `others` are those placed before, by kind."""
    family = group[0].is_.family
    if family in GROUND and subject.action not in ("fly", "swim"):
        return _walkers(stage, subject, group, others)
    return _HANDLERS[family](stage, subject, group)


def _walkers(
    stage: Stage, subject: Subject, group: list[Actor], others: dict[str, list[Actor]]
) -> list[Actor]:
    rng, action = stage.rng, subject.action
    share, base = stage.ground(group[0].size)
    group = [replace(a, size=a.size * share) for a in group]
    if stage.game and action in ("catch", "throw") and len(group) == len(stage.game.hands):
        return [
            _put(a, stage.game.player(i, base, stage.starts), base + 0.02 * i) for i, a in enumerate(group)
        ]
    if action == "swing":
        return _on_swings(stage, group)
    direction = 1 if rng.uniform() < 0.7 else -1
    chase = others.get(subject.target or "", [])
    speed, length, stride = (RUN if action in ("run", "chase") else WALK)[group[0].is_.family]
    pace = speed * float(rng.uniform(0.85, 1.15)) * share
    gap = max(a.size for a in group) * (1.5 if group[0].is_.family == "quadruped" else 0.75)
    front = float(rng.uniform(-0.1, 0.5)) * stage.half * direction
    placed = []
    for i, actor in enumerate(group):
        y = base + (0.0 if i == 0 else float(rng.uniform(-0.2, 0.16)))
        x = front - direction * i * gap
        phase = float(rng.uniform(0, 6.28))
        motion: Motion
        if action == "chase" and chase:
            hunted = chase[-1 if stage.game else i % len(chase)].motion
            here = hunted(0.0).x - direction * (1.2 + 0.5 * i)
            motion = moves.chasing(hunted, here, y, speed * 1.1, 0.35 * actor.size, length * actor.size,
                                   -0.9 * stage.half, 0.9 * stage.half)  # fmt: skip
        elif action in ("walk", "run", "chase"):
            if stage.follows:
                stage.pace = stage.pace or pace * direction
                motion = moves.onward(x, y, pace * direction, length * actor.size, stride)
            else:
                reach = stage.half * 0.92
                motion = moves.to_and_fro(x, y, pace * direction, -reach, reach, length * actor.size, stride)
        elif action == "jump":
            x = front - direction * i * gap
            run = _jumpers_run(stage, x, y, pace * 1.3 * direction, length * actor.size, stride)
            height = float(rng.uniform(0.55, 0.8)) * min(1.4, 0.5 + actor.size)
            motion = moves.jumping(run, height, 0.35, float(rng.uniform(0.1, 0.4)), stage.g)
        elif action in ("wave", "stretch", "throw", "catch", "kick"):
            motion = _busy(stage, actor, stage.free(actor.size * 0.4), y, phase)
        else:
            x = stage.free(actor.size * 0.5)
            rate = 2.2 if action in RESTING and action != "stand" else 0.0
            motion = moves.still(x, y, 1 if rng.uniform() < 0.5 else -1, phase, rate)
        placed.append(replace(_put(actor, motion, y), moving=action not in RESTING and action is not None))
    return placed


def _jumpers_run(stage: Stage, x: float, y: float, pace: float, length: float, stride: float) -> Motion:
    if stage.follows:
        return moves.onward(x, y, pace, length, stride)
    reach = stage.half * 0.85
    return moves.to_and_fro(x, y, pace, -reach, reach, length, stride)


def _busy(stage: Stage, actor: Actor, x: float, y: float, phase: float) -> Motion:
    """Arms that do something while the feet stay: waving, stretching, a throw, a kick."""
    rate = {"wave": 6.0, "stretch": 1.2}.get(actor.action or "", 2.6)
    if actor.action in ("throw", "kick"):
        x = -0.62 * stage.half
    on = moves.still(x, y, 1)

    def motion(t: float) -> Pose:
        lift = 0.5 + 0.5 * float(np.sin(rate * t + (phase if actor.action in ("wave", "stretch") else -1.2)))
        kick = actor.action == "kick"
        return replace(on(t), act=0.0 if kick else lift, stride=0.7 * lift if kick else 0.0, phase=1.57)

    return motion


def _on_swings(stage: Stage, group: list[Actor]) -> list[Actor]:
    """Who swings sits on the swing that stands in the scene, or brings one along."""
    made = []
    for actor in group:
        seats = rigid.pendulums(
            stage, [replace(actor, kind="swing", is_=KINDS["swing"], size=0.7)], amplitude=0.6
        )
        seat = seats[0].motion

        def ride(t: float, seat: Motion = seat, h: float = actor.size) -> Pose:
            on = seat(t)
            return replace(on, y=on.y - 0.17 * h, angle=0.0, act=0.4)

        made.append(_put(actor, ride, stage.place.base - 0.05))
        made.append(replace(seats[0], name=f"{actor.name}-seat"))
    return made


def _fliers(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    rng, insect = stage.rng, group[0].is_.family == "flyer"
    direction = 1 if rng.uniform() < 0.7 else -1
    speed = (0.5 if insect else 1.5) * float(rng.uniform(0.8, 1.2))
    placed = []
    for i, actor in enumerate(group):
        wing = i if len(group) > 2 else i * 1.5
        x = float(rng.uniform(-0.3, 0.4)) * stage.half * direction - direction * 0.55 * wing * actor.size
        y = float(rng.uniform(2.2, 2.9)) + (
            0.32 * actor.size * (-1) ** i * ((i + 1) // 2) if len(group) > 2 else 0.0
        )
        if insect:
            x, y = stage.free(0.2), float(rng.uniform(1.3, 2.8))
        flap = 6.0 if insect else 2.6 / max(0.6, actor.size)
        low, high = (-1e4, 1e4) if stage.follows else (-stage.half * 0.95, stage.half * 0.95)
        motion = moves.flying(
            x, min(y, 3.5), speed * direction, low, high, rng, flap, 0.3 if insect else 0.04
        )
        placed.append(_put(actor, motion, 0.3 if insect else 2.0))
    return placed


def _swimmers(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    rng, bird = stage.rng, group[0].is_.family == "bird"
    if stage.place.style not in ("water", "under"):
        raise CannotDraw(f"a {subject.kind} that does {subject.action!r} needs water, not this place")
    direction = 1 if rng.uniform() < 0.6 else -1
    speed = (0.45 if bird else 0.9) * float(rng.uniform(0.8, 1.2))
    front = float(rng.uniform(0, 0.6)) * stage.half * direction
    low, high = (-1e4, 1e4) if stage.follows else (-stage.half * 0.9, stage.half * 0.9)
    lane = float(rng.uniform(0.6, 1.15))
    placed = []
    for i, actor in enumerate(group):
        phase = float(rng.uniform(0, 6.28))
        if subject.action == "jump":
            run = moves.to_and_fro(
                front - direction * i, WATERLINE - 0.3, 1.6 * direction, low, high, 1.0, 0.5
            )
            leap = moves.jumping(run, 1.5, 0.6, float(rng.uniform(0.05, 0.3)), stage.g)
            placed.append(_put(actor, _wet(leap), 0.5))
            continue
        if bird:
            x, y, bob, beat = front - direction * i * 0.8 * actor.size, lane, 0.015, 0.6
        else:
            x = front + float(rng.uniform(-0.8, 0.8)) * stage.half * (len(group) > 1)
            y, bob, beat = float(rng.uniform(1.0, 3.2)), 0.12, 1.6 / max(0.5, actor.size)
        motion = moves.swimming(x, y, speed * direction, low, high, beat, bob, phase)
        placed.append(_put(actor, motion, y))
    return placed


def _wet(leap: Motion) -> Motion:
    """Seen above the water only."""

    def motion(t: float) -> Pose:
        pose = leap(t)
        return replace(pose, visible=pose.y > WATERLINE - 0.25, angle=1.6 * pose.angle)

    return motion


def _drifters(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    placed = []
    for actor in group:
        start = float(stage.rng.uniform(0, 6.28))
        motion = moves.rising(stage.free(0.4), float(stage.rng.uniform(0.9, 2.2)), 0.25, 3.4, start)
        placed.append(_put(actor, motion, 1.0))
    return placed


def _risers(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    placed = []
    for actor in group:
        ceiling = 3.95 - 0.55 * actor.size if stage.place.indoors else 1e4
        start = float(stage.rng.uniform(0, 6.28))
        y = float(stage.rng.uniform(1.3, 1.9))
        speed = 0.62 if actor.kind == "balloon" else 0.35
        placed.append(_put(actor, moves.rising(stage.free(0.4), y, speed, ceiling, start), 0.4))
    return placed


def _floaters(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    if stage.place.style != "water":
        raise CannotDraw(f"a {subject.kind} needs water, not this place")
    placed = []
    for actor in group:
        start, lane = float(stage.rng.uniform(0, 6.28)), float(stage.rng.uniform(0.8, 1.1))
        sail = moves.swimming(stage.free(0.6), lane, 0.35, -stage.half, stage.half, 0.3, 0.05, start)

        def motion(t: float, sail: Motion = sail) -> Pose:
            on = sail(t)
            return replace(on, angle=0.06 * float(np.sin(on.phase * 1.4)))

        placed.append(_put(actor, motion, lane))
    return placed


def _flutterers(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    gust = 1.1 if subject.action == "fly" else 0.15
    placed = []
    for actor in group:
        x, y = stage.rng.uniform(-1, 1) * stage.half, stage.rng.uniform(0.4, 3.8)
        fall = 0.55 * stage.g / 9.81 * float(stage.rng.uniform(0.8, 1.3))
        start = float(stage.rng.uniform(0, 6.28))
        drift = gust * float(stage.rng.uniform(0.6, 1.2))
        down = moves.fluttering(float(x), float(y), fall, drift, 0.2, 4.1, start)
        placed.append(_put(actor, _coming_back(down, stage.half * 2.2), 0.35))
    return placed


def _coming_back(motion: Motion, span: float) -> Motion:
    """Comes in again on the left when it has left on the right."""

    def around(t: float) -> Pose:
        pose = motion(t)
        return replace(pose, x=(pose.x + span / 2) % span - span / 2)

    return around


def _kites(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    placed = []
    for actor in group:
        low, high = (-1e4, 1e4) if stage.follows else (-stage.half, stage.half)
        motion = moves.flying(stage.free(0.4), 2.9, stage.pace or 0.1, low, high, stage.rng, 0.3, 0.25)
        placed.append(_put(actor, _upright(motion), 1.5))
    return placed


def _upright(motion: Motion) -> Motion:
    return lambda t: replace(motion(t), angle=0.3 * float(np.sin(2.2 * t)), facing=1)


def _clouds(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    return [
        _put(
            a, moves.swimming(stage.free(0.5), float(stage.rng.uniform(3.0, 3.7)), 0.25, -9, 9, 0, 0, 0), 9.0
        )
        for a in group
    ]


def _stills(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    placed = []
    tall = group[0].size > 1.5
    for actor in group:
        behind = stage.place.style == "water"
        y = (
            HORIZON - 0.05
            if behind
            else stage.place.base
            + float(stage.rng.uniform(0.1, 0.35) if tall else stage.rng.uniform(-0.3, 0.3))
        )
        if tall and stage.law == "permanence":
            y = stage.place.base - 0.25  # something to walk behind
        if stage.place.style == "under":
            y = 0.35
        motion = moves.still(stage.free(actor.size * 0.4), y, 1, float(stage.rng.uniform(0, 6.28)), 1.2)
        placed.append(replace(_put(actor, motion, y), moving=False))
    return placed


def _screens(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    y = stage.place.base - 0.2
    x = float(stage.rng.uniform(-0.2, 0.2)) * stage.half
    return [replace(_put(a, moves.still(x, y), 0.05), moving=False) for a in group]


def _put(actor: Actor, motion: Motion, depth: float) -> Actor:
    return replace(actor, motion=motion, depth=depth)


_HANDLERS: dict[str, Callable[[Stage, Subject, list[Actor]], list[Actor]]] = {
    "bird": lambda s, q, g: (_fliers if q.action == "fly" else _swimmers)(s, q, g),
    "flyer": _fliers, "swimmer": _swimmers, "drifter": _drifters, "riser": _risers, "floater": _floaters,
    "flutter": _flutterers, "kite": _kites, "cloud": _clouds, "still": _stills, "front": _screens,
    "ball": rigid.balls, "box": rigid.boxes, "cart": rigid.carts, "pendulum": rigid.hung, "wall": rigid.walls,
    "ramp": rigid.ramps, "weight": rigid.weights, "spring": lambda s, q, g: [],
}  # fmt: skip
