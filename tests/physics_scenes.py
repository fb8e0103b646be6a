"""A second renderer, for tests alone: scenes with trajectories in closed form or integrated here, on textured
backgrounds, with blur, camera noise and compression. It shares no line with the simulated worlds that the
physics metrics were tuned on.

Places are in pixels, y down. `made(world, defect, seed)` gives frames, truth and what the defect is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.physics_drawing import Array, Frames, Set, Thing, filmed

SIZES = ((320, 240), (384, 216), (256, 256), (480, 270))
RATES = (10.0, 15.0, 24.0, 30.0)
PALETTE = (
    (196, 48, 40), (40, 84, 190), (52, 140, 70), (226, 180, 40), (130, 60, 150), (30, 30, 34), (230, 120, 40),
)  # fmt: skip


@dataclass
class Take:
    """A clip: `facts` are true numbers (acceleration in pixels per second², ratio, period, g in m/s²)."""

    frames: Frames
    fps: float
    things: list[Thing]
    facts: dict[str, float]
    metres: float = 0.0


def _thing(s: Set, xy: Array, radius: float, shape: str = "ball", colour: int | None = None) -> Thing:
    number = int(s.rng.integers(len(PALETTE))) if colour is None else colour
    paint = np.tile(np.array(PALETTE[number % len(PALETTE)], np.float64), (s.n, 1))
    seen = np.ones(s.n, np.bool_)
    spin = np.concatenate([[0.0], np.cumsum(np.diff(xy[:, 0]) / max(radius, 1))])
    return Thing(xy.copy(), np.full(s.n, radius), paint, shape, spin if shape == "ball" else 0 * spin, seen)


def _integrated(s: Set, start: Array, speed: Array, force: Callable[[Array, Array, float], Array],
                hit: Callable[[Array, Array], tuple[Array, Array]], release: float = 0) -> Array:  # fmt: skip
    """Places (n, 2) by small steps: `force` gives the acceleration, `hit` what the surroundings do."""
    small, x, v = 24, start.astype(float).copy(), speed.astype(float).copy()
    dt, found, now = 1 / s.fps / small, [], 0.0
    for _ in range(s.n):
        found.append(x.copy())
        for _ in range(small):
            if now >= release:
                a = force(x, v, now)
                x = x + v * dt + a * dt * dt / 2
                v = v + a * dt
                x, v = hit(x, v)
            now += dt
    return np.array(found)


def _bouncing(s: Set, floor: float, keep: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    def hit(x: Array, v: Array) -> tuple[Array, Array]:
        if x[1] > floor and v[1] > 0:
            x[1] = floor - keep * (x[1] - floor)
            v[1] = -keep * v[1]
            if abs(v[1]) < 0.12 * s.short:
                v[1], x[1] = 0.0, floor
            v[0] *= 0.95
        return x, v

    return hit


def _falls(s: Set, g: float, floor: float) -> Callable[[Array, Array, float], Array]:
    def force(x: Array, v: Array, t: float) -> Array:
        lies = x[1] >= floor - 1e-6 and abs(v[1]) < 1e-9 and g > 0
        return np.array([0.0, 0.0 if lies else g])

    return force


def _gravity(s: Set) -> float:
    """Pixels per second²: slow motion and other scales included."""
    return s.short * s.between(1.6, 3.6) * {"no gravity": 0.0, "upward gravity": -0.2}.get(s.defect, 1.0)


def fall(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.045, 0.075)
    g, floor = _gravity(s), s.floor - r
    x = s.width * s.between(0.3, 0.7)
    drop = s.short * s.between(0.45, 0.6)
    keep = 1.25 if s.is_("energy gain") else s.between(0.25, 0.5)
    high = floor - (0.35 * drop if s.is_("energy gain") else drop)
    start = np.array([x, high])
    xy = _integrated(
        s, start, np.array([s.short * s.between(-0.1, 0.1), 0.0]), _falls(s, g, floor),
        _bouncing(s, floor, keep), release=s.between(0.1, 0.35),
    )  # fmt: skip
    return [_thing(s, xy, r)], {"acceleration": g}


def two_bodies(s: Set) -> tuple[list[Thing], dict[str, float]]:
    g, things, facts = _gravity(s), [], {"acceleration": _gravity(s)}
    release = s.between(0.1, 0.3)
    facts["acceleration"] = g
    for i, (x, share) in enumerate(((0.3, s.between(0.5, 0.62)), (0.68, s.between(0.24, 0.36)))):
        r = s.short * s.between(0.045, 0.065)
        floor = s.floor - r
        mine = g * (0.4 if i and s.is_("unequal gravity") else 1.0)
        xy = _integrated(
            s, np.array([s.width * x, floor - share * s.short]), np.zeros(2), _falls(s, mine, floor),
            _bouncing(s, floor, s.between(0.1, 0.4)), release=release,
        )  # fmt: skip
        things.append(_thing(s, xy, r, colour=2 * i + int(s.rng.integers(2))))
    return things, facts


def projectile(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.045, 0.07)
    side = 1 if s.rng.uniform() < 0.5 else -1
    g = s.short * s.between(0.7, 1.5)  # slow enough to be seen for seven frames, without gravity, too
    air = np.sqrt(8 * s.short * s.between(0.3, 0.4) / g)
    speed = np.array([side * s.width * s.between(0.45, 0.6) / air, -g * air / 2])
    mine = g * {"no gravity": 0.0, "upward gravity": -0.2}.get(s.defect, 1.0)
    start = np.array([s.width * (0.5 - side * s.between(0.32, 0.4)), s.floor - r - 0.1 * s.short])
    xy = _integrated(s, start, speed, lambda x, v, t: np.array([0.0, mine]), lambda x, v: (x, v))
    return [_thing(s, xy, r)], {"acceleration": mine}


def bounce(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.045, 0.07)
    g, floor = _gravity(s), s.floor - r
    keep = s.between(1.12, 1.2) if s.is_("energy gain") else s.between(0.72, 0.86)
    drop = s.short * (0.2 if s.is_("energy gain") else s.between(0.45, 0.6))
    ground = 1e9 if s.is_("pass through") else floor
    start = np.array([s.width * s.between(0.2, 0.35), floor - drop])
    speed = np.array([s.short * s.between(0.08, 0.2), 0.0])
    xy = _integrated(
        s, start, speed, _falls(s, g, floor if ground < 1e9 else 1e12), _bouncing(s, ground, keep)
    )
    return [_thing(s, xy, r)], {"acceleration": g, "ratio": keep}


def rolling(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.045, 0.065)
    steep = s.between(0.2, 0.4)
    g = s.short * s.between(2.0, 3.5)
    down = np.array([np.cos(steep), np.sin(steep)])
    long = 0.3 * s.width
    foot = np.array([s.width * 0.42, s.floor])
    lift = r / np.cos(steep)
    pull = 5 / 7 * g * np.sin(steep)
    wait = s.between(0.1, 0.3)
    places, way, v, on = [], 0.0, 0.0, 0.0
    up = np.array([foot[0] - long, foot[1] - long * np.tan(steep) - lift])
    small = 24
    now, away = 0.0, up.copy()
    speed = np.zeros(2)
    total = long / np.cos(steep) - r * np.tan(steep / 2)
    for _ in range(s.n):
        places.append(away.copy())
        for _ in range(small):
            dt = 1 / s.fps / small
            now += dt
            if now < wait:
                continue
            if s.is_("upward gravity"):
                speed = speed + np.array([0.1, -0.5]) * g * dt
                away = away + speed * dt
                continue
            if way < total:
                v, way = v + pull * dt, way + v * dt
            else:
                v *= np.exp((1.6 if s.is_("energy gain") else -0.15) * dt)
                on += v * dt
            away = up + down * min(way, total) + np.array([on, 0.0])
    return [_thing(s, np.array(places), r)], {
        "slope": steep,
        "foot": float(foot[0]),
        "long": long,
        "pull": pull,
    }


def _swinging(s: Set, length: float, angle: float, rate: float, damping: float) -> Array:
    small, theta, omega, found = 60, angle, 0.0, []
    for _ in range(s.n):
        found.append(theta)
        for _ in range(small):
            dt = 1 / s.fps / small
            omega += (-(rate**2) * np.sin(theta) - damping * omega) * dt
            theta += omega * dt
    return np.array(found)


def _pendulum(s: Set, at: float, length: float, rate: float, colour: int) -> tuple[Thing, float]:
    r = s.short * s.between(0.05, 0.07)
    pivot = np.array([s.width * at, 0.06 * s.height])
    most = np.arcsin(min(0.9, (0.22 * s.width - r) / length))
    angle = min(s.between(0.35, 0.6), most)
    damping = 0.3 if s.is_("reversed") else -0.45 if s.is_("energy gain") else s.between(0.05, 0.15)
    theta = _swinging(s, length, angle if not s.is_("energy gain") else 0.4 * angle, rate, damping)
    xy = pivot + length * np.stack([np.sin(theta), np.cos(theta)], 1)
    rod = np.tile(pivot, (s.n, 1))
    if s.is_("upward gravity"):
        xy[:, 1], rod[:, 1] = s.height - xy[:, 1], s.height - rod[:, 1]
    thing = _thing(s, xy, r, colour=colour)
    thing.rod, thing.spin = rod, 0 * thing.spin
    return thing, 2 * np.pi / rate * (1 + angle**2 / 16 + 11 * angle**4 / 3072)


def pendulum(s: Set) -> tuple[list[Thing], dict[str, float]]:
    length = s.short * s.between(0.5, 0.7)
    period = s.n / s.fps / s.between(1.7, 2.6)
    thing, true = _pendulum(s, 0.5, length, 2 * np.pi / period, int(s.rng.integers(4)))
    return [thing], {"period": true}


def two_pendulums(s: Set) -> tuple[list[Thing], dict[str, float]]:
    period = s.n / s.fps / s.between(1.6, 2.0)
    long, short = s.short * s.between(0.6, 0.7), s.short * s.between(0.33, 0.42)
    rate = 2 * np.pi / period
    wrong = 0.62 if s.is_("wrong period") else 1.0
    a, first = _pendulum(s, 0.27, long, rate, 0)
    b, second = _pendulum(s, 0.75, short, rate * np.sqrt(long / short) * wrong, 1)
    return [a, b], {"period": first, "second": second}


def collision(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = [s.short * s.between(0.05, 0.075) for _ in range(2)]
    mass = [x**3 for x in r]
    x = [0.17 * s.width, 0.8 * s.width]
    v = [s.width * s.between(0.3, 0.4), -s.width * s.between(0.22, 0.35)]
    keep = s.between(0.55, 0.7) if s.is_("reversed") else s.between(0.65, 0.95)
    places: list[list[float]] = [[], []]
    small, met = 24, False
    for _ in range(s.n):
        for i in range(2):
            places[i].append(x[i])
        for _ in range(small):
            dt = 1 / s.fps / small
            x = [a + b * dt for a, b in zip(x, v, strict=True)]
            if not met and x[1] - x[0] < r[0] + r[1]:
                met = True
                if s.is_("pass through"):
                    continue
                total = mass[0] + mass[1]
                middle = (mass[0] * v[0] + mass[1] * v[1]) / total
                after = [middle + keep * (middle - w) for w in v]
                if s.is_("momentum created"):
                    after = [2.2 * w for w in after]
                if s.is_("energy gain"):
                    after = [middle + 1.8 * (middle - w) for w in v]
                v = after
    things = []
    for i in range(2):
        xy = np.stack([np.array(places[i]), np.full(s.n, s.floor - r[i])], 1)
        things.append(_thing(s, xy, r[i], colour=(0, 1)[i]))
    return things, {"keep": keep}


def friction(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.06, 0.09)
    time = s.n / s.fps * s.between(0.55, 0.75)
    way = s.width * s.between(0.5, 0.62)
    a, v = 2 * way / time**2, 2 * way / time
    t = np.minimum(s.t, time)
    x = 0.15 * s.width + v * t - a * t * t / 2
    if s.is_("energy gain"):
        x = 0.15 * s.width + 0.1 * v * s.t + 0.3 * a * s.t**2
    return [_thing(s, np.stack([x, np.full(s.n, s.floor - r)], 1), r, "box")], {"acceleration": a}


def inertia(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.04, 0.06)
    v = s.width * 0.75 / (s.n / s.fps)
    x = 0.12 * s.width + v * s.t
    if s.is_("energy gain"):
        x = 0.12 * s.width + 0.25 * v * (np.exp(1.9 * s.t / s.t[-1]) - 1) / 1.9 * s.t[-1]
    return [_thing(s, np.stack([x, np.full(s.n, s.floor - r)], 1), r)], {}


def rest(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.06, 0.09)
    things = []
    for i, at in enumerate((0.3, 0.65)):
        xy = np.tile(np.array([at * s.width, s.floor - r]), (s.n, 1))
        if i == 0 and s.is_("upward gravity"):
            xy[:, 1] -= 0.25 * s.short * np.clip(s.t / s.t[-1] - 0.3, 0, 1) ** 2 / 0.49 * 2
        things.append(_thing(s, xy, r, "box" if i else "ball", colour=2 * i))
    return things, {}


def buoyancy(s: Set) -> tuple[list[Thing], dict[str, float]]:
    r = s.short * s.between(0.045, 0.065)
    fast = s.short * s.between(0.35, 0.55)
    way = np.maximum(0, s.t - 0.15)
    y = 0.2 * s.height + fast * (way - 0.25 * (1 - np.exp(-way / 0.25)))
    y = np.minimum(y, s.floor - r)
    return [_thing(s, np.stack([np.full(s.n, s.width * s.between(0.35, 0.65)), y], 1), r)], {}


def crossing(s: Set) -> tuple[list[Thing], dict[str, float]]:
    """A ball that rolls across, for what happens to things: nothing, where all is well."""
    things, _ = inertia(s)
    return things, {}


WORLDS: dict[str, Callable[[Set], tuple[list[Thing], dict[str, float]]]] = {
    "fall": fall, "two bodies": two_bodies, "projectile": projectile, "bounce": bounce, "rolling": rolling,
    "pendulum": pendulum, "two pendulums": two_pendulums, "collision": collision, "friction": friction,
    "inertia": inertia, "rest": rest, "buoyancy": buoyancy, "crossing": crossing,
}  # fmt: skip
LAW = {
    "fall": "gravity", "two bodies": "gravity", "projectile": "projectile", "bounce": "restitution",
    "rolling": "rolling", "pendulum": "pendulum", "two pendulums": "pendulum", "collision": "collision",
    "friction": "friction", "inertia": "inertia", "rest": "rest", "buoyancy": "buoyancy",
    "crossing": "inertia",
}  # fmt: skip
THINGS = ("vanish", "teleport", "size drift", "colour drift")
"""Defects of what happens to things, in any world; what they claim is seen by permanence and continuity."""


def made(world: str, defect: str, seed: int, seconds: float = 2.4) -> Take:
    """A clip of a world with a defect (`clean`: none)."""
    rng = np.random.default_rng([seed, *(ord(c) for c in world)])
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    fps = RATES[int(rng.integers(len(RATES)))]
    n = round(seconds * fps)
    s = Set(rng, width, height, fps, n, height * float(rng.uniform(0.82, 0.9)), defect)
    things, facts = WORLDS[world](s)
    if defect in THINGS:
        _happen(s, things)
    facts = {**facts, "short": float(s.short)}
    frames = filmed(s, world, things, facts)
    if defect == "reversed":
        frames = frames[::-1].copy()
    return Take(frames, fps, things, facts)


def _happen(s: Set, things: list[Thing]) -> None:
    """What no cause explains: gone for good, elsewhere at once (where nothing else is), growing, changing
    colour."""
    thing = things[0]
    middle = int(s.n * s.between(0.4, 0.6))
    # In sight: where it is away from the edges of the picture.
    inside = (thing.xy > 2 * thing.radius[0]).all(1) & (
        thing.xy < np.array([s.width, s.height]) - 2 * thing.radius[0]
    ).all(1)
    # Nor too fast to be told from what goes behind something, nor where it meets something.
    slow = np.append(np.linalg.norm(np.diff(thing.xy, axis=0), axis=1), 0.0) < 1.4 * thing.radius
    away = np.ones(s.n, np.bool_)
    for other in things[1:]:
        away &= np.linalg.norm(other.xy - thing.xy, axis=1) > 5 * thing.radius
    candidates = np.flatnonzero((inside & slow & away)[4:-4]) + 4
    if len(candidates):
        middle = int(candidates[int(np.abs(candidates - middle).argmin())])
    share = np.linspace(0, 1, s.n)
    if s.is_("vanish"):
        thing.seen[middle:] = False
    elif s.is_("teleport"):
        way = _free_place(s, things, middle)
        thing.xy[middle:] += way
        if thing.rod is not None:
            thing.rod[middle:] += way
    elif s.is_("size drift"):
        thing.radius = thing.radius * (1 + 0.7 * share)
    else:
        other = 255 - thing.colour[0]
        thing.colour = thing.colour + (other - thing.colour) * 0.8 * share[:, None]


def _free_place(s: Set, things: list[Thing], middle: int) -> Array:
    """The way by 0.3 of the picture, across or up, that keeps farthest from other things and the edges."""
    thing, size = things[0], np.array([s.width, s.height])
    ways = np.array([[0.3, 0], [-0.3, 0], [0, -0.3], [0.25, -0.25], [-0.25, -0.25]]) * size

    def room(way: Array) -> float:
        later = thing.xy[middle : middle + s.n // 3] + way
        edge = float(np.minimum(later, size - later).min())
        others = [
            float(np.linalg.norm(o.xy[middle : middle + s.n // 3] - later, axis=1).min()) for o in things[1:]
        ]
        return min([edge, *others])

    return np.asarray(max(ways, key=room))
