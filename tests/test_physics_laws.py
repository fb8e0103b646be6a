"""Laws on tracks that are made up: fits against plain ones, closed forms, and every law with and without its
defects. What the renderer and the tracker add is in `test_physics_scenes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from evals.metrics.physics.checks import Check, Untestable, grade, lowest, of_clip, worst
from evals.metrics.physics.laws import LAWS, test_law
from evals.metrics.physics.laws.falling import bounce_ratios, drops, flights
from evals.metrics.physics.laws.meeting import contact
from evals.metrics.physics.laws.swinging import small_angle, swing_of
from evals.metrics.physics.paths import SHORTEST, Path, _costs, fitted, path_of
from evals.records import Prompt, Subject
from evals.tracking import Scene, Track

test_law.__test__ = False  # type: ignore[attr-defined]  # it is no test of pytest's

Array = NDArray[np.float64]
FPS = 24.0


def track_of(
    xy: Array, size: float = 20.0, colour: tuple[float, float, float] = (200, 40, 40), **more: Array
) -> Track:
    n = len(xy)
    no = np.zeros(n, np.bool_)
    fields = {
        "frames": np.arange(n), "xy": xy, "area": np.full(n, size**2), "width": np.full(n, size),
        "height": np.full(n, size), "colour": np.tile(np.array(colour, np.float64), (n, 1)),
        "seen": ~no, "merged": no, "edge": no, "jumped": no, "confidence": 1.0,
    }  # fmt: skip
    return Track(**{**fields, **more})  # type: ignore[arg-type]


def scene_of_tracks(*tracks: Track, n: int | None = None, fps: float = FPS) -> Scene:
    count = n or max(int(t.frames[-1]) for t in tracks) + 1
    return Scene(tuple(tracks), np.arange(count) / fps, np.arange(count), 320.0, 240.0)


def noisy(xy: Array, seed: int, sigma: float = 0.15) -> Array:
    return xy + np.random.default_rng(seed).normal(0, sigma, xy.shape)


def path(xy: Array, fps: float = FPS) -> Path:
    track = track_of(xy)
    return path_of(track, scene_of_tracks(track, fps=fps))


Pair = tuple[float, float]


def thrown(n: int = 24, g: float = 500.0, v: Pair = (120.0, -260.0), at: Pair = (40.0, 180.0)) -> Array:
    t = np.arange(n) / FPS
    return np.stack([at[0] + v[0] * t, at[1] + v[1] * t + g * t * t / 2], 1)


def dropped(height: float, g: float = 500.0, keep: float = 0.4, n: int = 48, x: float = 100.0) -> Array:
    """From rest, with bounces, in closed form."""
    floor, rest = 200.0, 0.15
    found, t0, y0 = [], rest, floor - height
    fall = np.sqrt(2 * height / g)
    for k in range(n):
        t = k / FPS - t0
        if t < 0:
            found.append(y0)
            continue
        if t < fall:
            found.append(y0 + g * t * t / 2)
            continue
        t, v = t - fall, keep * g * fall
        while v > 12 and t > 2 * v / g:
            t, v = t - 2 * v / g, keep * v
        found.append(floor - (v * t - g * t * t / 2) if v > 12 else floor)
    return np.stack([np.full(n, x), np.array(found)], 1)


def swinging(
    period: float, length: float, angle: float = 0.3, x: float = 160.0, grows: float = -0.1
) -> Array:
    t = np.arange(72) / FPS
    theta = angle * np.exp(grows * t) * np.cos(2 * np.pi * t / period)
    return np.stack([x + length * np.sin(theta), 30 + length * np.cos(theta)], 1)


def colliding(
    after: tuple[float, float], before: tuple[float, float] = (150.0, -100.0), n: int = 36
) -> list[Array]:
    t = np.arange(n) / FPS
    meets = 0.75
    found = []
    for x, v, w in zip((160 - 11 - 150 * meets, 160 + 11 + 100 * meets), before, after, strict=True):
        place = np.where(t < meets, x + v * t, x + v * meets + w * (t - meets))
        found.append(np.stack([place, np.full(n, 180.0)], 1))
    return found


# --- fits ---


def test_a_fit_is_numpys_and_its_errors_are_true() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(12) / FPS
    truth = np.stack([3 + 4 * t - 2 * t * t, 1 - 2 * t + 90 * t * t], 1)
    got, errors = [], []
    for _ in range(300):
        xy = truth + rng.normal(0, 0.5, truth.shape)
        fit = fitted(t, xy, 2)
        assert fit.at(0.2) == pytest.approx([np.polyval(np.polyfit(t, xy[:, i], 2), 0.2) for i in (0, 1)])
        got.append(fit.acceleration[1])
        errors.append(fit.acceleration_error)
    assert np.mean(got) == pytest.approx(180, abs=5)
    assert np.std(got) == pytest.approx(np.mean(errors), rel=0.25)


def test_costs_of_stretches_are_those_of_plain_fits() -> None:
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.uniform(0.03, 0.06, 14))
    xy = rng.normal(0, 5, (14, 2)) + np.stack([300 * t, 200 - 400 * t * t], 1)
    cost = _costs(t, xy)
    for i in range(14):
        for j in range(i + SHORTEST - 1, 14):
            part = slice(i, j + 1)
            plain = sum(
                float(
                    (
                        (np.polyval(np.polyfit(t[part] - t[i], xy[part, a], 2), t[part] - t[i]) - xy[part, a])
                        ** 2
                    ).sum()
                )
                for a in (0, 1)
            )
            assert cost[i, j] == pytest.approx(plain, rel=1e-6, abs=1e-6)
    assert np.isinf(cost[3, 4])


def test_phases_begin_where_motion_changes() -> None:
    found = path(noisy(dropped(120.0, n=40), 0)).phases
    starts = [p.start for p in found]
    release, lands = 0.15, 0.15 + np.sqrt(2 * 120 / 500)
    assert any(abs(s - release) < 2.5 / FPS for s in starts) and any(
        abs(s - lands) < 1.5 / FPS for s in starts
    )
    assert all(a.last + 1 == b.first for a, b in pairwise(found))


def test_flights_have_the_acceleration() -> None:
    (flight,) = flights(path(noisy(thrown(), 0)))
    assert flight.down == pytest.approx(500, rel=0.03) and abs(flight.down - 500) < 4 * flight.error


def test_bounces_have_the_ratio() -> None:
    ratios = bounce_ratios(path(noisy(dropped(140.0, keep=0.8, n=72), 0)))
    assert len(ratios) >= 2 and ratios == pytest.approx([0.8] * len(ratios), rel=0.05)


@pytest.mark.parametrize("speed", [1.0, 0.35])  # slow motion changes nothing
@pytest.mark.parametrize("heights", [(140.0, 50.0), (90.0, 90.0)])
def test_times_of_two_drops_are_as_the_roots_of_their_heights(
    heights: tuple[float, float], speed: float
) -> None:
    fps = FPS / speed
    found = []
    for k, height in enumerate(heights):
        drop = drops(path(noisy(dropped(height, n=60), k), fps))
        assert drop is not None and drop.height == pytest.approx(height, rel=0.06)
        found.append(drop)
    a, b = found
    assert (a.time / b.time) ** 2 == pytest.approx(heights[0] / heights[1], rel=0.08)


@pytest.mark.parametrize("angle", [0.2, 0.5])
def test_a_swing_has_its_period_and_length(angle: float) -> None:
    swing = swing_of(path(noisy(swinging(1.1, 130.0, angle), 0)))
    assert swing is not None and swing.length is not None
    assert swing.period == pytest.approx(1.1, rel=0.02) and swing.length == pytest.approx(130, rel=0.06)
    assert swing.angle == pytest.approx(angle, rel=0.1) and swing.sag > 0
    assert small_angle(swing) == pytest.approx(1.1 / (1 + angle**2 / 16 + 11 * angle**4 / 3072), rel=0.03)


def test_a_contact_has_velocities_before_and_after() -> None:
    a, b = (path(noisy(xy, k)) for k, xy in enumerate(colliding((-60.0, 120.0))))
    met = contact(a, b)
    assert met is not None
    assert met.before[:, 0] == pytest.approx([150, -100], abs=8)
    assert met.after[:, 0] == pytest.approx([-60, 120], abs=8)
    assert met.line == pytest.approx([1, 0], abs=0.05)


def test_grades_are_straight_lines() -> None:
    assert [grade(v, 0.2, 0.6) for v in (0.0, 0.2, 0.4, 0.6, 9.0)] == pytest.approx([1, 1, 0.5, 0, 0])
    assert grade(float("nan"), 0.2, 0.6) == 1.0
    checks = (Check("a", 0.9, "", 0, 1), Check("b", 0.2, "", 0, 1), Check("a", 0.4, "", 0, 1))
    assert worst(checks).name == "b" and [c.score for c in lowest(checks)] == [0.4, 0.2]


# --- every law, as it should be and not ---

Made = Callable[[int], list[Array]]


def crossing(grows: float = 0.0) -> Array:
    t = np.arange(36) / FPS
    way = 180 * t if not grows else 60 * (np.exp(grows * t) - 1) / grows
    return np.stack([30 + way, np.full(36, 180.0)], 1)


def stopping(sign: float = 1.0) -> Array:
    t = np.minimum(np.arange(40) / FPS, 1.1)
    way = 330 * t - 150 * t * t
    xy = np.stack([30 + way, np.full(40, 180.0)], 1)
    return xy if sign > 0 else xy[::-1]


def downhill(up: bool = False) -> Array:
    t = np.maximum(np.arange(30) / FPS - 0.1, 0)
    way = 90 * t * t
    steep = np.array([np.cos(0.4), np.sin(0.4)])
    if up:
        return np.stack([60 + 20 * t, 100 - 60 * t * t], 1)
    return np.asarray(np.array([60.0, 60.0]) + way[:, None] * steep, np.float64)


def sinking(back: bool = False) -> Array:
    t = np.arange(48) / FPS
    y = np.minimum(60 + 130 * t, 190.0)
    y = np.where(back & (t > 1.4), 190 - 130 * (t - 1.4), y)
    return np.stack([np.full(48, 100.0), y], 1)


LAWFUL: dict[str, list[Made]] = {
    "gravity": [lambda k: [dropped(120)], lambda k: [dropped(140, x=80), dropped(50, x=200)]],
    "projectile": [lambda k: [thrown()]],
    "restitution": [lambda k: [dropped(130, keep=0.75, n=72)]],
    "rolling": [lambda k: [downhill()]],
    "pendulum": [
        lambda k: [swinging(1.0, 120)], lambda k: [swinging(1.2, 144, x=80), swinging(0.8, 64, x=240)],
    ],
    "collision": [lambda k: colliding((-60.0, 120.0))],
    "friction": [lambda k: [stopping()]],
    "inertia": [lambda k: [crossing()]],
    "rest": [lambda k: [np.tile([[100.0, 180.0]], (30, 1))]],
    "buoyancy": [lambda k: [sinking()]],
}  # fmt: skip
UNLAWFUL: list[tuple[str, str, Made]] = [
    ("gravity", "down", lambda k: [thrown(g=-200.0, v=(20.0, 0.0), at=(60.0, 160.0))]),
    ("gravity", "two_bodies", lambda k: [dropped(140, x=80), dropped(60, g=180.0, x=200)]),
    ("gravity", "equal", lambda k: [thrown(), thrown(g=200.0, v=(80.0, -160.0))]),
    ("gravity", "released", lambda k: [dropped(130)[::-1]]),
    ("projectile", "down", lambda k: [thrown(g=0.0, v=(120.0, -120.0))]),
    ("restitution", "never_higher", lambda k: [dropped(50, keep=1.15, n=60)]),
    ("rolling", "downhill", lambda k: [downhill(up=True)]),
    ("pendulum", "never_wider", lambda k: [swinging(1.0, 120, 0.15, grows=0.4)]),
    ("pendulum", "period_by_length", lambda k: [swinging(1.2, 144, x=80), swinging(1.2, 64, x=240)]),
    ("pendulum", "hangs", lambda k: [np.array([0, 240]) + np.array([1, -1]) * swinging(1.0, 120)]),
    ("collision", "never_faster", lambda k: colliding((-250.0, 260.0))),
    ("collision", "no_passing", lambda k: colliding((150.0, -100.0))),
    ("collision", "opposite", lambda k: colliding((290.0, 330.0))),
    ("friction", "slows", lambda k: [stopping(-1)]),
    ("inertia", "no_gain", lambda k: [crossing(1.4)]),
    ("inertia", "straight", lambda k: [crossing() + np.outer(np.sin(np.arange(36) / 6), [0, 70])]),
    ("rest", "rests", lambda k: [np.array([100.0, 180.0]) + np.arange(30)[:, None] * [1.0, 0.0]]),
    ("buoyancy", "stays", lambda k: [sinking(back=True)]),
]  # fmt: skip
COLOURS = [(200.0, 40.0, 40.0), (40.0, 60.0, 200.0)]


def checks_of(law: str, made: Made, seed: int) -> tuple[Check, ...]:
    tracks = [track_of(noisy(xy, 7 * seed + i), colour=COLOURS[i]) for i, xy in enumerate(made(seed))]
    found = test_law(law, scene_of_tracks(*tracks))
    assert not isinstance(found, Untestable), found.message
    return found


@pytest.mark.parametrize(
    ("law", "which"), [(law, i) for law, each in LAWFUL.items() for i in range(len(each))]
)
def test_a_law_that_holds_is_found_to_hold(law: str, which: int) -> None:
    scores = [worst(checks_of(law, LAWFUL[law][which], seed)) for seed in range(12)]
    assert min(c.score for c in scores) >= 0.9, scores


@pytest.mark.parametrize(("law", "check", "made"), UNLAWFUL, ids=[f"{a}-{b}" for a, b, _ in UNLAWFUL])
def test_a_law_that_is_broken_is_found_by_its_check(law: str, check: str, made: Made) -> None:
    for seed in range(12):
        found = {c.name: c for c in lowest(checks_of(law, made, seed))}
        assert found[check].score < 0.5, found


def test_all_laws_are_tested_here() -> None:
    assert set(LAWFUL) == set(LAWS) == {law for law, *_ in UNLAWFUL}
    literal = Prompt.model_fields["law"].annotation
    assert set(LAWS) <= set(str(literal).replace("'", " ").replace(",", " ").split())


def test_equal_balls_that_pass_and_that_bounce_cannot_be_told_apart() -> None:
    tracks = [track_of(xy) for xy in colliding((150.0, -100.0))]  # of one colour: the better reading counts
    found = test_law("collision", scene_of_tracks(*tracks))
    assert not isinstance(found, Untestable) and worst(found).score >= 0.9


def test_silence_where_nothing_can_be_known() -> None:
    still = track_of(np.tile([[100.0, 180.0]], (30, 1)))
    lost = Scene((), np.arange(9) / 9, np.arange(9), 100, 100, lost=True)
    assert isinstance(test_law("gravity", lost), Untestable)
    unsure = replace(track_of(thrown()), confidence=0.2)
    for law in LAWS:
        found = test_law(law, scene_of_tracks(unsure, n=24))
        assert isinstance(found, Untestable) or law == "rest"
        if law not in ("rest",):
            assert isinstance(test_law(law, scene_of_tracks(still)), Untestable)
    many = [Subject(kind="block", count=8)]
    assert isinstance(test_law("gravity", scene_of_tracks(track_of(thrown())), many), Untestable)
    crowd = [track_of(thrown(v=(100.0, -260.0 - 5 * k))) for k in range(7)]
    assert isinstance(test_law("gravity", scene_of_tracks(*crowd)), Untestable)


@pytest.mark.parametrize(("action", "score"), [("fall", 1.0), ("float", 0.0)])
def test_what_is_asked_to_sink_must_not_float(action: str, score: float) -> None:
    track = track_of(noisy(sinking(), 0))
    found = test_law("buoyancy", scene_of_tracks(track), [Subject(kind="stone", action=action)])
    assert not isinstance(found, Untestable)
    assert {c.name: c.score for c in found}["as_asked"] == score


# --- lawful motion that looks odd ---


def joined(*pieces: tuple[int, list[float] | None, list[float]]) -> Array:
    """Places from pieces of (frames, velocity, acceleration), one after the other, from (60, 120)."""
    found, at, v = [], np.array([60.0, 120.0]), np.zeros(2)
    for frames, speed, a in pieces:
        v = np.asarray(speed, np.float64) if speed is not None else v
        for _ in range(frames):
            found.append(at.copy())
            at = at + v / FPS + np.asarray(a, np.float64) / FPS**2 / 2
            v = v + np.asarray(a, np.float64) / FPS
    return np.array(found)


def floating(amplitude: float) -> Array:
    t = np.arange(72) / FPS
    return np.stack([100 + 3 * t, 150 + amplitude * np.sin(2.2 * t)], 1)


def held_swing() -> Array:
    swing = swinging(1.0, 120)
    return np.concatenate([np.repeat(swing[:1], 14, 0), swing])


ODD: list[tuple[str, str, Array]] = [
    ("rolling", "slows towards the camera", joined((30, [40.0, 120.0], [0.0, -60.0]))),
    ("friction", "is pushed, then let go",
     joined((6, [0, 0], [0, 0]), (12, None, [400.0, 0]), (30, None, [-160.0, 0]))),
    ("friction", "rolls down a gentle ramp",
     joined((30, [10.0, 2.0], [90.0, 18.0]), (12, None, [-120.0, -24.0]))),
    ("inertia", "rests, is hit, glides", joined((10, [0, 0], [0, 0]), (30, [150.0, 0], [0, 0]))),
    ("inertia", "glides towards the camera", joined((30, [60.0, 60.0], [15.0, 20.0]))),
    ("pendulum", "is held, then let go", held_swing()),
    ("pendulum", "dies out", swinging(0.8, 120, grows=-1.3)),
    ("buoyancy", "bobs", floating(22.0)),
    ("projectile", "is thrown and caught",
     joined((7, [0, 0], [0, -900.0]), (26, None, [0, 500.0]), (5, None, [0, -900.0]))),
    ("restitution", "rolls aslant over the floor", joined((30, [90.0, 60.0], [0, 0]))),
    ("gravity", "begins in mid-fall", dropped(120.0, keep=0.75, n=60)[15:]),
]  # fmt: skip


@pytest.mark.parametrize(("law", "what", "xy"), ODD, ids=[f"{law}: {what}" for law, what, _ in ODD])
def test_lawful_motion_is_not_blamed(law: str, what: str, xy: Array) -> None:
    for seed in range(8):
        track = track_of(noisy(xy, seed))
        subjects = [Subject(kind="duck", action="float")] if law == "buoyancy" else []
        found = test_law(law, scene_of_tracks(track), subjects)
        assert isinstance(found, Untestable) or worst(found).score >= 0.8, (what, worst(found))


def test_a_near_miss_is_no_collision() -> None:
    a, b = colliding((150.0, -100.0))
    tracks = [track_of(a), track_of(b + np.array([0.0, 32.0]), colour=COLOURS[1])]
    assert isinstance(test_law("collision", scene_of_tracks(*tracks)), Untestable)


@pytest.mark.parametrize("speed", [1.0, 0.2, 0.1])
def test_slow_motion_changes_no_verdict(speed: float) -> None:
    each = [("restitution", UNLAWFUL[5][2]), ("gravity", UNLAWFUL[3][2]), ("gravity", LAWFUL["gravity"][1])]
    for law, made in each:
        scores = []
        for fps in (FPS, FPS / speed):
            tracks = [track_of(noisy(xy, i), colour=COLOURS[i]) for i, xy in enumerate(made(0))]
            found = test_law(law, scene_of_tracks(*tracks, fps=fps))
            assert not isinstance(found, Untestable)
            scores.append({c.name: round(c.score, 6) for c in lowest(found)})
        assert scores[0] == scores[1]


def test_frames_are_those_of_the_clip() -> None:
    checks = (Check("a", 0.0, "", 3, 5), Check("b", 1.0, "", 0, 9))
    index = np.arange(8) * 4
    assert [(c.first, c.last) for c in of_clip(checks, index)] == [(12, 20), (0, 28)]
