"""Things that obey the physics: how they are set up for what a prompt's annotations ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evals.records import Subject
from evals.worlds import moves
from evals.worlds.actors import Actor
from evals.worlds.kinds import KINDS
from evals.worlds.physics import GRAVITY
from evals.worlds.shared import Stage

CEILING = 3.85
HEIGHTS = {"low": 0.9, "middle": 1.6, "high": 2.5}  # metres above the ground
RELEASE = 0.15  # seconds, after which things that fall from different heights are let go together
STIFFNESS = {"small": 20.0, "medium": 40.0, "large": 80.0}  # N/m, by how thick a spring is
UNLOADED, PULLED, DAMPING = 1.3, 0.35, 0.1  # metres, metres, Ns/m


def balls(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """Balls that fall, bounce, roll, fly, swing, lie or are thrown in a game."""
    if subject.action == "swing":
        return pendulums(stage, group, cradle=len(group) > 2)
    made = []
    for i, actor in enumerate(group):
        if stage.game and actor.kind == stage.game_kind and i < len(stage.starts):
            made.append(replace(actor, motion=stage.game.ball(stage.starts[i]), depth=stage.place.base - 0.1))
        else:
            made.append(_ball(stage, subject, actor, i, len(group)))
    return made


def _ball(stage: Stage, subject: Subject, actor: Actor, i: int, count: int) -> Actor:
    rng, r, look = stage.rng, actor.size / 2, actor.is_.look
    base, half = stage.place.base, stage.half
    action = subject.action or "lie"
    elasticity, mass = look.get("bounce", 0.5), look.get("mass", 1.0)
    wait = 0.0
    spin = 0.0
    velocity = (0.0, 0.0)
    if action in ("roll", "lie") and stage.ramp is not None and action == "roll":
        top = stage.ramp
        x, y = top.motion(0).x, top.motion(0).y
        at = (x + 0.2 * top.size + 0.42 * r, y + top.size * (1 - 0.2 / 2.2) + 0.92 * r + 0.02)
        elasticity = 0.05
        wait = float(rng.uniform(0.05, 0.3))
    elif action == "roll" or (action == "fly" and stage.game):
        side = stage.side() if stage.collide or stage.game else 1
        speed = float(rng.uniform(1.4, 2.2)) * side * (1.4 if stage.collide else 1.0)
        at = (-side * half * float(rng.uniform(0.62, 0.82)) - side * i * 3 * r, base + r)
        velocity, spin = (speed, 0.0), -speed / r
        elasticity = max(elasticity, 0.85) if stage.collide or stage.law == "restitution" else elasticity
    elif action == "fly":
        side = 1 if i % 2 == 0 else -1
        air = float(rng.uniform(1.05, 1.3))
        across = 1.3 * half / air * side
        at = (-side * half * float(rng.uniform(0.55, 0.75)), base + 0.9)
        velocity, spin = (across, 9.81 * air / 2 - 0.45 / air), -2.5 * side
    elif action in ("fall", "bounce"):
        x = stage.free(r)
        at = (x, base + float(rng.uniform(2.1, 2.6)) - (0.0 if stage.law == "gravity" else 0.25 * i))
        if subject.height is not None:
            at = (x, base + r + HEIGHTS[subject.height] * float(rng.uniform(0.95, 1.05)))
        if action == "bounce":
            velocity = (float(rng.uniform(0.3, 0.8)) * (-1 if x > 0 else 1), 0.0)
            elasticity = max(elasticity, 0.75) if "mass" not in look else elasticity
        spin, wait = float(rng.uniform(-2, 2)), float(rng.uniform(0.02, 0.2))
        wait = wait if subject.height is None else RELEASE
    else:
        at = (stage.free(r), base + r)
    number = stage.physics.ball(at, r, velocity, spin, mass, elasticity)
    if wait:
        stage.physics.hold(number, wait)
        if action == "bounce":
            stage.physics.push(number, velocity, wait)
    flat = look.get("shape") in ("disc", "stick")
    motion = moves.rigid(stage.physics.motion(number))
    if flat and action == "lie":
        motion = moves.still(at[0], base + 0.05)
    return replace(actor, motion=motion, depth=base - 0.02, moving=action != "lie")


def boxes(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """Boxes that slide, fall, stand or topple in towers and rows."""
    rng, base, half = stage.rng, stage.place.base, stage.half
    count, action = len(group), subject.action or "stand"
    size = group[0].size
    aspect = group[0].is_.look.get("aspect", 1.0)
    friction = group[0].is_.look.get("friction", 0.55)
    bounce = group[0].is_.look.get("bounce", 0.1)
    made = []
    row = action == "fall" and count >= 4 and aspect < 0.5
    tower = action == "fall" and count >= 4 and not row
    if row:
        gap = min(size * 0.62, 1.7 * half / count)
        size = min(size, gap / 0.6)
    stack = action == "stand" and stage.law == "balance"
    x0 = float(rng.uniform(-0.3, 0.3)) * half
    for i, actor in enumerate(group):
        mine = size if row or tower else actor.size
        wide, angle, velocity = mine * aspect, 0.0, (0.0, 0.0)
        wait = 0.0
        if row:
            start = 0.15 * half if stage.collide and "bowling-ball" in stage.kinds else -gap * (count - 1) / 2
            at = (start + i * gap, base + mine / 2)
        elif stack:
            at = (x0, base + sum(a.size for a in group[:i]) + mine / 2)
        elif tower:
            at = (x0 + float(rng.uniform(-0.02, 0.02)), base + mine * (i + 0.5))
        elif action == "slide":
            fast = 3.6 if friction > 0.2 else 1.7
            at, velocity = (-half * 0.7, base + mine / 2), (fast * float(rng.uniform(0.9, 1.15)), 0.0)
        elif action in ("fall", "bounce"):
            at, angle = (stage.free(wide), base + float(rng.uniform(2.0, 2.5))), float(rng.uniform(-0.4, 0.4))
            wait = float(rng.uniform(0.02, 0.2))
            if subject.height is not None:
                at, wait, angle = (at[0], base + mine / 2 + HEIGHTS[subject.height]), RELEASE, 0.0
        else:
            at = (stage.free(wide), base + mine / 2)
        elasticity = max(bounce, 0.62) if action == "bounce" else bounce
        number = stage.physics.box(at, (wide, mine), velocity, angle, 1.0, elasticity, friction)
        if wait:
            stage.physics.hold(number, wait)
        if (row and i == 0 and not stage.collide) or (row and i == 0 and "bowling-ball" not in stage.kinds):
            stage.physics.push(number, (1.3, 0.0), 0.2)
        if tower and i == count - 1:
            stage.physics.push(number, (2.4, 0.0), 0.25)
        if tower and i == count - 2:
            stage.physics.push(number, (1.2, 0.0), 0.25)
        motion = moves.rigid(stage.physics.motion(number))
        made.append(
            replace(actor, size=mine, motion=motion, depth=base - 0.01, moving=action not in ("stand", "lie"))
        )
    return made


def carts(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """Carts on a level rail, without friction."""
    made = []
    for actor in group:
        side = stage.side()
        speed = float(stage.rng.uniform(0.9, 1.5)) * side * (0.0 if subject.action == "stand" else 1.0)
        at = (-side * stage.half * 0.6, stage.place.base + 0.5 * actor.size)
        size = (1.5 * actor.size, actor.size)
        number = stage.physics.box(at, size, (speed, 0.0), elasticity=0.95, friction=0.0)
        made.append(replace(actor, motion=moves.rigid(stage.physics.motion(number)), depth=stage.place.base))
    return made


def hung(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """Pendulums, lamps and swings; a swing that somebody sits on comes with its rider."""
    if group[0].kind == "swing" and stage.riders:
        return []
    return pendulums(stage, group, amplitude=0.35 if group[0].is_.look.get("lamp") else None)


def pendulums(
    stage: Stage, group: list[Actor], cradle: bool = False, amplitude: float | None = None
) -> list[Actor]:
    """Bodies on rods from the ceiling. In a cradle they hang side by side and the first is lifted."""
    rng = stage.rng
    made = []
    for i, actor in enumerate(group):
        r, heavy = actor.size / 2, actor.is_.look.get("mass", 1.0)
        length = float(np.interp(actor.size / actor.is_.size, [0.7, 1.0, 1.3], [1.3, 2.0, 2.5]))
        length = min(length, CEILING - stage.place.base - r - 0.25)
        if heavy > 5 or actor.kind == "swing":
            length = CEILING - stage.place.base - r - 0.35
        pivot = (stage.free(r), CEILING)
        lifted = amplitude or float(rng.uniform(0.55, 0.85))
        angle = -lifted if rng.uniform() < 0.6 or heavy > 5 else lifted
        if heavy > 5:
            pivot = (0.1 * stage.half, CEILING)
        elif stage.law == "pendulum":  # every swing has a place of its own, and is seen whole
            room = stage.half / stage.pendulums
            pivot = (room * (2 * stage.hung + 1) - stage.half, CEILING)
            lifted = min(lifted, float(np.arcsin(min(1.0, max(0.05, (room - r - 0.1) / length)))))
            angle = float(np.copysign(lifted, angle))
            stage.hung += 1
        if cradle:
            pivot, length = ((i - (len(group) - 1) / 2) * (2 * r + 0.012), CEILING - 0.6), 1.6
            angle = -0.75 if i == 0 else 0.0
        at = (pivot[0] + np.sin(angle) * length, pivot[1] - np.cos(angle) * length)
        number = stage.physics.ball(at, r, mass=heavy, elasticity=1.0 if cradle else 0.4, friction=0.0)
        stage.physics.hang(number, pivot)
        motion = moves.hanging(stage.physics.motion(number), pivot, length)
        painter = actor.is_
        if actor.is_.family == "ball":
            painter = replace(actor.is_, paint=KINDS["pendulum"].paint)
        made.append(replace(actor, is_=painter, motion=motion, depth=stage.place.base + 0.05))
    return made


def weights(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """Weights on springs from the ceiling, pulled down and let go. A larger weight is heavier, a larger
    spring stiffer."""
    made = []
    for actor in group:
        size = stage.springs[min(stage.hung, len(stage.springs) - 1)]
        room = 2 * stage.half / (len(stage.springs) + 1)
        pivot = (room * (stage.hung + 1) - stage.half, CEILING)
        stage.hung += 1
        mass, stiffness = (actor.size / actor.is_.size) ** 3, STIFFNESS[size]
        rest = CEILING - UNLOADED - mass * GRAVITY / stiffness
        at = (pivot[0], rest - PULLED * float(stage.rng.uniform(0.9, 1.1)))
        number = stage.physics.box(at, (actor.size, actor.size), mass=mass)
        stage.physics.suspend(number, pivot, UNLOADED, stiffness, DAMPING)
        stage.physics.hold(number, RELEASE)
        motion = moves.suspended(stage.physics.motion(number), CEILING)
        look = replace(actor.is_, look={"wire": {"small": 0.7, "medium": 1.0, "large": 1.6}[size]})
        made.append(replace(actor, is_=look, motion=motion, depth=stage.place.base + 0.05))
    return made


def walls(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """Walls to bounce between; in front of a wrecking ball, bricks."""
    base, made = stage.place.base, []
    if "wrecking-ball" in stage.kinds:
        brick = (0.5, 0.3)
        for k in range(10):
            at = (
                0.42 * stage.half + (k % 2) * 0.52 + (0.1 if (k // 2) % 2 else 0.0),
                base + 0.3 * (k // 2 + 0.5),
            )
            number = stage.physics.box(at, brick, mass=0.6, friction=0.6)
            look = replace(KINDS["block"], look={"aspect": brick[0] / brick[1]})
            made.append(replace(group[0], name=f"{group[0].name}-{k}", is_=look, size=brick[1],
                                motion=moves.rigid(stage.physics.motion(number)), depth=base))  # fmt: skip
        return made
    for i, actor in enumerate(group):
        x = (0.85 if i % 2 else -0.85) * stage.half if len(group) > 1 else 0.6 * stage.half
        half = 0.16 * actor.size
        for edge in (x - half, x + half):
            if len(group) > 1 or stage.collide:
                stage.physics.segment((edge, base), (edge, base + actor.size))
        made.append(replace(actor, motion=moves.still(x, base - 0.02), depth=base - 0.01, moving=False))
    return made


def ramps(stage: Stage, subject: Subject, group: list[Actor]) -> list[Actor]:
    """A slope down to the right; balls of the scene start at its top."""
    actor = group[0]
    x, base = -0.8 * stage.half, stage.place.base
    actor = replace(actor, motion=moves.still(x, base), depth=base + 0.01, moving=False)
    size = actor.size
    stage.physics.segment((x, base + size), (x + 2.2 * size, base), friction=0.9)
    stage.ramp = actor
    stage.taken += [x, x + size, x + 2 * size]
    return [actor]
