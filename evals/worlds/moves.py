"""How animals and people move: gaits, jumps, flight, pursuit, a game of catch. All functions of time.

Positions are in metres on the stage, times in seconds. `g` is the gravity that acts, `GRAVITY` the one
that the movers reckon with: where the two differ, jumps and throws go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from evals.worlds.actors import Motion, Pose
from evals.worlds.physics import GRAVITY, State

TAU = 2 * np.pi
Rng = np.random.Generator


def still(x: float, y: float, facing: int = 1, phase: float = 0.0, rate: float = 0.0) -> Motion:
    """Stays where it is; `rate` turns the phase (breathing, swaying), in radians per second."""
    return lambda t: Pose(x, y, facing=facing, phase=phase + rate * t)


def to_and_fro(
    x: float, y: float, speed: float, low: float, high: float, stride_length: float, stride: float
) -> Motion:
    """Walks or runs between `low` and `high`, turning at both; `speed` is signed."""
    span = max(high - low, 1e-6)

    def pose(t: float) -> Pose:
        way = (x - low) + speed * t
        lap = way / span
        forth = int(np.floor(lap)) % 2 == 0
        place = low + (way % span if forth else span - way % span)
        facing = (1 if speed >= 0 else -1) * (1 if forth else -1)
        return Pose(place, y, facing=facing, phase=TAU * abs(speed) * t / stride_length, stride=stride)

    return pose


def onward(x: float, y: float, speed: float, stride_length: float, stride: float) -> Motion:
    """Walks or runs on for ever, for a camera that follows."""
    facing = 1 if speed >= 0 else -1
    return lambda t: Pose(
        x + speed * t, y, facing=facing, phase=TAU * abs(speed) * t / stride_length, stride=stride
    )


def jumping(base: Motion, height: float, rest: float, start: float, g: float) -> Motion:
    """Adds jumps to a motion: each a ballistic flight to `height` under real gravity, then `rest` seconds
    on the ground. Under another `g` the same take-off carries further, or for ever."""
    up = float(np.sqrt(2 * GRAVITY * height))
    air = 2 * up / g if g > 1e-6 else np.inf

    def pose(t: float) -> Pose:
        on = base(t)
        since = t - start
        if since < 0:
            return on
        since = since if np.isinf(air) else since % (air + rest)
        if since >= air:
            return on
        lift, rise = up * since - g * since * since / 2, up - g * since
        tilt = 0.35 * float(np.clip(rise / up, -1, 1))
        return replace(on, y=on.y + lift, angle=tilt, stride=max(0.5, on.stride), phase=2.2, act=1.0)

    return pose


def flying(
    x: float, y: float, speed: float, low: float, high: float, rng: Rng, flap: float, wild: float
) -> Motion:
    """Wings through the air between `low` and `high`: `wild` metres of wandering, `flap` beats a second."""
    a, b, c = rng.uniform(0, TAU, 3)
    across = to_and_fro(x, y, speed, low, high, 1.0, 0.0)

    def pose(t: float) -> Pose:
        on = across(t)
        return replace(
            on,
            x=on.x + wild * 0.6 * float(np.sin(2.3 * t + a) + 0.5 * np.sin(5.1 * t + b)),
            y=y + (0.1 + wild) * float(np.sin(1.7 * t + b)) + wild * 0.5 * float(np.sin(4.3 * t + c)),
            phase=TAU * flap * t + c,
        )

    return pose


def swimming(
    x: float, y: float, speed: float, low: float, high: float, beat: float, bob: float, start: float
) -> Motion:
    """Swims between `low` and `high`; `beat` strokes per second, `bob` metres up and down."""
    across = to_and_fro(x, y, speed, low, high, 1.0, 0.4)

    def pose(t: float) -> Pose:
        on = across(t)
        return replace(on, y=y + bob * float(np.sin(1.3 * t + start)), phase=TAU * beat * t + start)

    return pose


def rising(x: float, y: float, speed: float, ceiling: float, start: float) -> Motion:
    """Rises at its terminal speed and sways; stays under the ceiling."""

    def pose(t: float) -> Pose:
        up = min(y + speed * t, ceiling)
        return Pose(x + 0.1 * float(np.sin(1.1 * t + start)), up, phase=2 * t + start)

    return pose


def fluttering(
    x: float, y: float, fall: float, drift: float, low: float, high: float, start: float
) -> Motion:
    """Falls slowly, swinging and turning over; comes in again at the top."""
    span = high - low

    def pose(t: float) -> Pose:
        down = low + (y - low - fall * t) % span
        side = x + drift * t + 0.25 * float(np.sin(2.1 * t + start))
        return Pose(side, down, angle=float(np.sin(1.4 * t + start)), phase=3.1 * t + start)

    return pose


def rigid(states: Callable[[float], State], length: float = 0.0) -> Motion:
    """A body of the physics; `length` is the rod it hangs on."""

    def pose(t: float) -> Pose:
        x, y, angle = states(t)
        return Pose(x, y, angle=angle, act=length)

    return pose


def suspended(states: Callable[[float], State], ceiling: float) -> Motion:
    """A body under a spring; `act` is the spring's length."""

    def pose(t: float) -> Pose:
        x, y, _ = states(t)
        return Pose(x, y, act=ceiling - y)

    return pose


def hanging(states: Callable[[float], State], pivot: tuple[float, float], length: float) -> Motion:
    """A body on a rod, turned as the rod is."""

    def pose(t: float) -> Pose:
        x, y, _ = states(t)
        return Pose(x, y, angle=float(np.arctan2(x - pivot[0], pivot[1] - y)), act=length)

    return pose


def chasing(
    target: Motion,
    x: float,
    y: float,
    speed: float,
    gap: float,
    stride_length: float,
    low: float,
    high: float,
) -> Motion:
    """Runs after a target along the ground, no faster than `speed`, up to `gap` metres from it."""
    rate = 60.0
    path: list[tuple[float, int, float, float]] = [(x, 1, 0.0, 0.0)]  # place, facing, way run, pace

    def step() -> None:
        place, facing, way, _ = path[-1]
        goal = float(np.clip(target(len(path) / rate).x, low, high))
        away = goal - place
        move = float(np.clip(abs(away) - gap, 0.0, speed / rate))
        if move > 0:
            facing = 1 if away > 0 else -1
        path.append((place + facing * move, facing, way + move, move * rate / speed))

    def pose(t: float) -> Pose:
        at = t * rate
        while len(path) < int(at) + 2:
            step()
        a, b, share = path[int(at)], path[int(at) + 1], at - int(at)
        way = a[2] + (b[2] - a[2]) * share
        return Pose(
            a[0] + (b[0] - a[0]) * share, y, facing=b[1], phase=TAU * way / stride_length, stride=0.9 * b[3]
        )

    return pose


class Game:
    """Balls thrown to and fro between players who stand at `hands` (x, y), each flight a parabola."""

    def __init__(self, hands: Sequence[tuple[float, float]], g: float, height: float, pause: float) -> None:
        self.hands, self.g, self.pause = list(hands), g, pause
        self.up = float(np.sqrt(2 * GRAVITY * height))
        self.air = 2 * self.up / GRAVITY

    def _leg(self, t: float, start: int) -> tuple[int, int, float]:
        """Who throws to whom, and how long ago, at time `t`."""
        beat = self.air + self.pause
        turn, since = int(t // beat), t % beat
        if self.g < 0.999 * GRAVITY and t >= self.pause:
            turn, since = 0, t  # a throw that does not come down is not caught
        a = (turn + start) % len(self.hands)
        return a, (a + 1) % len(self.hands), since - self.pause

    def ball(self, start: int) -> Motion:
        """The ball that player `start` throws first."""

        def pose(t: float) -> Pose:
            a, b, since = self._leg(t, start)
            (x, y), (u, v) = self.hands[a], self.hands[b]
            if since <= 0:
                return Pose(x, y)
            across, rise = (u - x) / self.air, self.up + (v - y) / self.air
            return Pose(x + across * since, y + rise * since - self.g * since * since / 2, angle=-5 * since)

        return pose

    def player(self, index: int, y: float, starts: Sequence[int]) -> Motion:
        """A player who raises the arms to throw and to catch."""
        x = self.hands[index][0]

        def pose(t: float) -> Pose:
            raised, facing = 0.0, 1
            for start in starts:
                a, b, since = self._leg(t, start)
                if index == a:
                    raised = max(raised, float(np.clip(1.2 - abs(since) * 3, 0, 1)))
                    facing = 1 if self.hands[b][0] > x else -1
                elif index == b:
                    raised = max(raised, float(np.clip(since / self.air, 0, 1)))
                    facing = 1 if self.hands[a][0] > x else -1
            return Pose(x, y, facing=facing, act=raised, phase=0.8, stride=0.12)

        return pose
