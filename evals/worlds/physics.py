"""Rigid bodies in two dimensions (Chipmunk through pymunk), recorded at a fixed step.

A body's place at any time is read from the record, so it depends on neither frame rate nor length.
Chipmunk moves bodies before it changes their velocities; a body therefore starts with half a step's
gravity in its velocity, which makes free flight exact (y₀ + v t − g t²/2 at every step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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


class Physics:
    """A space with gravity `gravity`·9.81 m/s² and whatever is put into it."""

    def __init__(self, gravity: float = 1.0) -> None:
        self.g = GRAVITY * gravity
        self._kick = -self.g * STEP / 2
        self.space = pymunk.Space()
        self.space.gravity = (0, -self.g)
        self.space.iterations = _ITERATIONS
        self.space.collision_slop = _SLOP
        self._bodies: list[pymunk.Body] = []
        self._record: list[list[State]] = []
        self._now = 0
        self._pushes: list[tuple[int, pymunk.Body, tuple[float, float]]] = []

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

    def push(self, number: int, velocity: tuple[float, float], when: float) -> None:
        """Give a body a velocity at a time."""
        ahead = (velocity[0], velocity[1] + self._kick)
        self._pushes.append((round(when / STEP), self._bodies[number], ahead))

    def hold(self, number: int, until: float) -> None:
        """Keep a body where it is until a time: it is let go then."""
        body, last = self._bodies[number], round(until / STEP)
        if not last:
            return
        body.velocity = (0, 0)

        def waiting(b: pymunk.Body, gravity: tuple[float, float], damping: float, dt: float) -> None:
            if self._now == last - 1:
                b.velocity = (0.0, self._kick)
            elif self._now >= last:
                pymunk.Body.update_velocity(b, gravity, damping, dt)

        body.velocity_func = waiting

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
        self.space.add(body, shape)
        self._bodies.append(body)
        self._record.append([State(*at, body.angle)])
        return len(self._bodies) - 1

    def _step(self) -> None:
        for when, body, velocity in self._pushes:
            if when == self._now:
                body.velocity = velocity
        self.space.step(STEP)
        self._now += 1
        for record, body in zip(self._record, self._bodies, strict=True):
            record.append(State(body.position.x, body.position.y, body.angle))
