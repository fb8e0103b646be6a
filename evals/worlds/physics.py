"""Rigid bodies in two dimensions (Chipmunk through pymunk), recorded at a fixed step.

A body's place at any time is read from the record, so it depends on neither frame rate nor length.
Chipmunk moves bodies before it changes their velocities; a body therefore starts with half a step's
gravity in its velocity, which makes free flight exact (y₀ + v t − g t²/2 at every step).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pymunk

STEP = 1 / 240
GRAVITY = 9.81
# What hit before must be near real: many iterations for towers, little overlap for small balls.
_ITERATIONS, _SLOP = 30, 0.002


class State(NamedTuple):
    """Centre of mass in metres, angle in radians, counter-clockwise."""

    x: float
    y: float
    angle: float


@dataclass(frozen=True)
class Defect:
    """How a world breaks the laws: `gravity` as a share of the real one, and that of every second body
    (`second`) as a share of it; `gain`, by which all speeds grow per second; `created`, by which both speeds
    grow when two bodies part; `through`, what bodies go through: each other, or the ground as well."""

    gravity: float = 1.0
    second: float = 1.0
    gain: float = 0.0
    created: float = 0.0
    through: str = ""


LAWFUL = Defect()


class Physics:
    """A space with gravity `gravity`·9.81 m/s² and whatever is put into it; `defect` breaks its laws."""

    def __init__(self, gravity: float = 1.0, defect: Defect = LAWFUL) -> None:
        self.defect = defect
        self.g = GRAVITY * gravity * defect.gravity
        self._kick = -self.g * STEP / 2
        self.space = pymunk.Space()
        self.space.gravity = (0, -self.g)
        self.space.iterations = _ITERATIONS
        self.space.collision_slop = _SLOP
        self._bodies: list[pymunk.Body] = []
        self._record: list[list[State]] = []
        self._now = 0
        self._pushes: list[tuple[int, pymunk.Body, tuple[float, float]]] = []
        self._held: dict[int, int] = {}
        self._touching: set[frozenset[int]] = set()

    def segment(
        self, a: tuple[float, float], b: tuple[float, float], elasticity: float = 1.0, friction: float = 0.9
    ) -> None:
        """A fixed edge. What bounces off it keeps the product of both elasticities."""
        edge = pymunk.Segment(self.space.static_body, a, b, 0.02)
        edge.elasticity, edge.friction = elasticity, friction
        self.space.add(edge)

    def floor(self, y: float) -> None:
        """A level ground without end at height `y`."""
        self.segment((-1000, y - 0.02), (1000, y - 0.02))

    def ball(
        self,
        at: tuple[float, float],
        radius: float,
        velocity: tuple[float, float] = (0, 0),
        spin: float = 0.0,
        mass: float = 1.0,
        elasticity: float = 0.5,
        friction: float = 0.7,
    ) -> int:
        """Put a ball in; gives its number."""
        body = pymunk.Body(mass, pymunk.moment_for_circle(mass, 0, radius))
        return self._add(body, pymunk.Circle(body, radius), at, velocity, spin, elasticity, friction)

    def box(
        self,
        at: tuple[float, float],
        size: tuple[float, float],
        velocity: tuple[float, float] = (0, 0),
        angle: float = 0.0,
        mass: float = 1.0,
        elasticity: float = 0.1,
        friction: float = 0.6,
    ) -> int:
        """Put a box (width, height) in; gives its number."""
        body = pymunk.Body(mass, pymunk.moment_for_box(mass, size))
        body.angle = angle
        return self._add(body, pymunk.Poly.create_box(body, size), at, velocity, 0.0, elasticity, friction)

    def hang(self, number: int, pivot: tuple[float, float]) -> None:
        """Hang a body on a rod without weight."""
        body = self._bodies[number]
        joint = pymunk.PinJoint(self.space.static_body, body, pivot, (0, 0))
        self.space.add(joint)

    def suspend(
        self, number: int, pivot: tuple[float, float], length: float, stiffness: float, damping: float
    ) -> None:
        """Hang a body on a spring of `length` in metres without a load, `stiffness` in N/m and `damping` in
        Ns/m."""
        body = self._bodies[number]
        spring = pymunk.DampedSpring(self.space.static_body, body, pivot, (0, 0), length, stiffness, damping)
        self.space.add(spring)

    def push(self, number: int, velocity: tuple[float, float], when: float) -> None:
        """Give a body a velocity at a time."""
        ahead = (velocity[0], velocity[1] + self._kick)
        self._pushes.append((round(when / STEP), self._bodies[number], ahead))

    def hold(self, number: int, until: float) -> None:
        """Keep a body where it is until a time: it is let go then."""
        last = round(until / STEP)
        if not last:
            return
        self._held[number] = last
        self._bodies[number].velocity = (0, 0)
        self._bodies[number].velocity_func = self._driven(number)

    def _driven(self, number: int) -> Callable[[pymunk.Body, tuple[float, float], float, float], None]:
        """How a body's velocity changes that is held, or that breaks a law."""
        share = self.defect.second if number % 2 else 1.0
        grown = 1 + self.defect.gain * STEP

        def advance(b: pymunk.Body, gravity: tuple[float, float], damping: float, dt: float) -> None:
            last = self._held.get(number, 0)
            if self._now == last - 1:
                b.velocity = (0.0, self._kick * share)
            elif self._now >= last:
                pymunk.Body.update_velocity(b, (gravity[0], gravity[1] * share), damping, dt)
                if self.defect.gain:
                    b.velocity = b.velocity * grown

        return advance

    def motion(self, number: int) -> Callable[[float], State]:
        """A body's state as a function of time."""
        return lambda t: self.at(number, t)

    def at(self, number: int, t: float) -> State:
        """A body's state at time `t` ≥ 0 in seconds, interpolated between steps."""
        place = t / STEP
        low = int(place)
        while len(self._record[number]) < low + 2:
            self._step()
        a, b, share = self._record[number][low], self._record[number][low + 1], place - low
        return State(*(p + (q - p) * share for p, q in zip(a, b, strict=True)))

    def _add(
        self,
        body: pymunk.Body,
        shape: pymunk.Shape,
        at: tuple[float, float],
        velocity: tuple[float, float],
        spin: float,
        elasticity: float,
        friction: float,
    ) -> int:
        body.position, body.angular_velocity = at, spin
        body.velocity = (velocity[0], velocity[1] + self._kick)
        shape.elasticity, shape.friction = elasticity, friction
        if self.defect.through:
            ground = pymunk.ShapeFilter.ALL_MASKS() if self.defect.through == "each other" else 0
            shape.filter = pymunk.ShapeFilter(group=1, mask=ground)
        self.space.add(body, shape)
        number = len(self._bodies)
        if self.defect.gain or (self.defect.second != 1.0 and number % 2):
            body.velocity = (
                velocity[0],
                velocity[1] + self._kick * (self.defect.second if number % 2 else 1),
            )
            body.velocity_func = self._driven(number)
        self._bodies.append(body)
        self._record.append([State(*at, body.angle)])
        return len(self._bodies) - 1

    def _step(self) -> None:
        for when, body, velocity in self._pushes:
            if when == self._now:
                body.velocity = velocity
        self.space.step(STEP)
        if self.defect.created:
            self._create()
        self._now += 1
        for record, body in zip(self._record, self._bodies, strict=True):
            record.append(State(body.position.x, body.position.y, body.angle))

    def _create(self) -> None:
        """Speed up both of two bodies that have just parted."""
        now: set[frozenset[int]] = set()

        def touched(arbiter: pymunk.Arbiter, _: Any) -> None:
            numbers = [self._bodies.index(s.body) for s in arbiter.shapes if s.body in self._bodies]
            if len(numbers) == 2:
                now.add(frozenset(numbers))

        for body in self._bodies:
            body.each_arbiter(touched, None)
        for pair in self._touching - now:
            for number in pair:
                body = self._bodies[number]
                body.velocity = body.velocity * (1 + self.defect.created)
        self._touching = now
