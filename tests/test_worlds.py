"""The simulated worlds: physics against closed forms, determinism, what flaws change and what not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import prompts
from evals.errors import CannotDraw, UsageError
from evals.records import Prompt
from evals.video import Frames
from evals.worlds import FLAWS, Film
from evals.worlds.flaws import reorder
from evals.worlds.kinds import KINDS, stand_ins
from evals.worlds.physics import GRAVITY, Physics
from evals.worlds.places import PLACES
from evals.worlds.rigid import CEILING, STIFFNESS, UNLOADED
from evals.worlds.stage import generator_of
from tests.conftest import examples

HANGING = {"weight", "spring"}  # neither is drawn without the other
STANDARD = {p.id: p for n in ("parks", "animals", "physics") for p in prompts.load(prompts.find(n)).prompts}


def scene(*subjects: Mapping[str, object], **fields: object) -> Prompt:
    return Prompt.model_validate({"id": "test", "text": "never read", "subjects": subjects, **fields})


BALL = scene({"kind": "ball", "colour": "red", "action": "fall"}, place="room")


def pictures(prompt: Prompt, **fields: Any) -> Frames:
    small: dict[str, Any] = {"width": 96, "height": 72, "frames": 12, "fps": 8.0, "seed": 0}
    return np.stack(list(Film(prompt, **{**small, **fields}).pictures()))


# --- physics against closed forms ---


@pytest.mark.parametrize("gravity", [1.0, 0.3, 0.0])
def test_free_flight_is_a_parabola(gravity: float) -> None:
    world = Physics(gravity)
    ball = world.ball((1.0, 5.0), 0.2, velocity=(1.5, 3.0), spin=2.0)
    for t in (0.0, 0.1, 0.35, 0.8):
        x, y, angle = world.at(ball, t)
        assert x == pytest.approx(1 + 1.5 * t, abs=1e-9)
        assert y == pytest.approx(5 + 3 * t - gravity * GRAVITY * t * t / 2, abs=1e-4)
        assert angle == pytest.approx(2 * t, abs=1e-9)


def test_a_bounce_keeps_the_square_of_the_restitution_in_height() -> None:
    world = Physics()
    world.floor(0.0)
    ball = world.ball((0, 2.2), 0.2, elasticity=0.8)
    heights = [world.at(ball, t / 500).y - 0.2 for t in range(1200)]
    down = next(i for i in range(1, 1199) if heights[i] < heights[i - 1] and heights[i] < heights[i + 1])
    assert down / 500 == pytest.approx(math.sqrt(2 * 2.0 / GRAVITY), abs=0.02)
    assert max(heights[down : down + 500]) == pytest.approx(0.64 * 2.0, rel=0.04)


def test_a_pendulum_keeps_its_period_and_its_rod() -> None:
    world, length, angle = Physics(), 1.5, 0.15
    bob = world.ball((math.sin(angle) * length, -math.cos(angle) * length), 0.1)
    world.hang(bob, (0.0, 0.0))
    states = [world.at(bob, t / 200) for t in range(1400)]
    assert all(math.hypot(s.x, s.y) == pytest.approx(length, abs=5e-3) for s in states)
    crossings = [i / 200 for i in range(1, 1400) if states[i - 1].x > 0 >= states[i].x]
    period = (crossings[-1] - crossings[0]) / (len(crossings) - 1)
    expected = 2 * math.pi * math.sqrt(length / GRAVITY) * (1 + angle**2 / 16)
    assert period == pytest.approx(expected, rel=0.01)


def test_a_collision_keeps_momentum_and_energy() -> None:
    world = Physics(0.0)
    a = world.ball((-1, 0), 0.2, velocity=(2, 0), mass=1.0, elasticity=1.0, friction=0)
    b = world.ball((1, 0), 0.2, velocity=(-1, 0), mass=3.0, elasticity=1.0, friction=0)

    def speed(body: int, t: float) -> float:
        return (world.at(body, t + 0.1).x - world.at(body, t).x) / 0.1

    world.at(a, 2.0)
    after = speed(a, 1.5), speed(b, 1.5)
    assert 1 * after[0] + 3 * after[1] == pytest.approx(-1.0, abs=1e-6)
    assert after[0] == pytest.approx(-2.5, abs=0.02) and after[1] == pytest.approx(0.5, abs=0.02)


def test_a_sliding_box_stops_where_friction_stops_it() -> None:
    world = Physics()
    world.floor(0.0)
    box = world.box((0, 0.25), (0.5, 0.5), velocity=(2.0, 0), elasticity=0.0, friction=0.5)
    mu = 0.5 * 0.9  # Chipmunk multiplies both frictions
    assert world.at(box, 3.0).x == pytest.approx(4 / (2 * mu * GRAVITY), rel=0.1)


def test_what_is_held_falls_when_it_is_let_go() -> None:
    world = Physics()
    ball = world.ball((0, 3), 0.2)
    world.hold(ball, 0.5)
    assert world.at(ball, 0.5).y == 3.0
    assert world.at(ball, 1.0).y == pytest.approx(3 - GRAVITY * 0.25 / 2, abs=1e-6)


@pytest.mark.parametrize(("size", "mass"), [("small", 0.7**3), ("medium", 1.0), ("large", 1.3**3)])
def test_a_weight_on_a_spring_keeps_the_period_of_its_mass(size: str, mass: float) -> None:
    """T = 2π √(m/k), about the height where the spring carries the weight."""
    weight = {"kind": "weight", "size": size, "action": "bounce"}
    film = Film(scene(weight, {"kind": "spring", "action": "stretch"}), 0)
    actor = next(a for a in film.scene.actors if a.kind == "weight")
    mass *= (actor.size / actor.is_.size / {"small": 0.7, "medium": 1.0, "large": 1.3}[size]) ** 3
    heights = np.array([actor.motion(0.15 + t / 240).y for t in range(240 * 8)])
    middle = CEILING - UNLOADED - mass * GRAVITY / STIFFNESS["medium"]
    above = heights > middle
    crossings = np.flatnonzero(~above[:-1] & above[1:]) / 240
    assert np.diff(crossings).mean() == pytest.approx(
        2 * math.pi * math.sqrt(mass / STIFFNESS["medium"]), rel=0.01
    )
    assert np.ptp(heights[-400:]) < np.ptp(heights[:400])  # it dies down


def test_things_from_different_heights_are_let_go_together_and_land_by_the_root_of_their_heights() -> None:
    subjects = [{"kind": "ball", "height": h, "metres": 0.3, "action": "fall"} for h in ("high", "low")]
    film = Film(scene(*subjects, {"kind": "box", "height": "middle", "action": "fall"}, place="gym"), 3)
    times, drops = [], []
    for actor in film.scene.actors:
        heights = np.array([actor.motion(t / 480).y for t in range(480)])
        assert (heights[: int(0.15 * 480)] == heights[0]).all()  # held until then
        floor = int(np.argmax(heights <= film.scene.place.base + 0.501 * actor.size))
        times.append(floor / 480 - 0.15)
        drops.append(heights[0] - heights[floor])
    for time, drop in zip(times, drops, strict=True):
        assert drop == pytest.approx(GRAVITY * time**2 / 2, rel=0.05)


def test_a_standing_tower_stands_and_boxes_without_the_law_stand_side_by_side() -> None:
    block = {"kind": "block", "count": 5, "action": "stand"}
    tower = Film(scene(block, law="balance", place="table"), 1).scene.actors
    first, last = ([a.motion(t) for a in tower] for t in (0.0, 4.0))
    assert all(abs(p.x - q.x) < 0.02 and abs(p.y - q.y) < 0.02 for p, q in zip(first, last, strict=True))
    assert len({round(p.y, 1) for p in last}) == 5 and np.ptp([p.x for p in last]) < 0.1
    apart = [a.motion(0.0) for a in Film(scene(block, place="table"), 1).scene.actors]
    assert np.ptp([p.y for p in apart]) < 0.1 < np.ptp([p.x for p in apart])


# --- scenes ---


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subjects": []}, "no annotated subjects"),
        ({"place": "moon"}, "no place 'moon'"),
        ({"law": "heat"}, "law of heat"),
        ({"camera": "orbit"}, "camera cannot do 'orbit'"),
        ({"counterfactual": True}, "another outcome than the ordinary"),
        ({"law": "elasticity"}, "only weights that hang on springs"),
        ({"subjects": [{"kind": "spring", "action": "stretch"}]}, "only weights that hang on springs"),
        ({"subjects": [{"kind": "ball", "metres": 0.04, "action": "fall"}]}, "a ball of 0.04 m is not seen"),
        ({"cuts": True}, "a cut"),
        ({"action": "melt"}, "be seen to 'melt'"),
        ({"subjects": [{"kind": "dragon"}]}, "no 'dragon'"),
        ({"subjects": [{"kind": "ball", "colour": "plaid"}]}, "no colour 'plaid'"),
        ({"subjects": [{"kind": "dog", "action": "sing"}]}, "a dog that does 'sing'"),
        ({"subjects": [{"kind": "duck", "action": "swim"}], "place": "desert"}, "needs water"),
        ({"subjects": [{"kind": "boat", "action": "float"}], "place": "room"}, "needs water"),
        ({"subjects": [{"kind": "fish", "count": 20}, {"kind": "fish", "count": 20}],
            "place": "sea"}, "more than"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_with_the_reason(changes: dict[str, object], reason: str) -> None:
    prompt = Prompt.model_validate({**BALL.model_dump(), **changes})
    with pytest.raises(CannotDraw, match=reason):
        _ = Film(prompt, 0).scene


def test_the_words_are_never_read() -> None:
    other = BALL.model_copy(update={"text": "Two blue cats sleep in the snow."})
    assert np.array_equal(pictures(BALL), pictures(other))


@pytest.mark.nightly
def test_every_kind_with_every_action_can_be_drawn() -> None:
    for name, kind in KINDS.items():
        for action in sorted(kind.actions):
            wet = kind.family in ("swimmer", "drifter", "floater") or action == "swim"
            subjects = [{"kind": name, "action": action, "count": 2}]
            if name in HANGING:
                subjects = [{"kind": "weight", "action": "bounce"}, {"kind": "spring", "action": "stretch"}]
            film = Film(scene(*subjects, place="lake" if wet else "park"), 1, 64, 48, 3)
            seen = np.stack(list(film.pictures()))
            assert seen.shape == (3, 48, 64, 3) and seen.std() > 5, (name, action)


@pytest.mark.slow
def test_every_place_can_be_drawn_still_and_moving() -> None:
    for place in PLACES:
        for camera in ("static", "tracking", "zoom"):
            film = Film(scene({"kind": "pigeon", "action": "fly"}, place=place, camera=camera), 0, 64, 48, 3)
            assert np.stack(list(film.pictures())).std() > 3, place


def test_equal_arguments_give_equal_pictures_and_others_do_not() -> None:
    prompt = STANDARD["park-catch-and-dog"]
    assert np.array_equal(pictures(prompt), pictures(prompt))
    assert not np.array_equal(pictures(prompt), pictures(prompt, seed=1))
    assert not np.array_equal(pictures(prompt), pictures(prompt, noise=2.0))


def test_the_world_does_not_depend_on_frame_rate_or_length() -> None:
    prompt = STANDARD["ball-drop"]
    few, many = pictures(prompt, frames=4, fps=4.0), pictures(prompt, frames=16, fps=8.0)
    assert np.array_equal(few, many[:8:2])


@examples(25)
@given(st.integers(16, 130), st.integers(16, 130), st.integers(1, 3), st.floats(0.5, 120))
def test_any_size_length_and_rate(width: int, height: int, frames: int, fps: float) -> None:
    film = Film(STANDARD["park-kite"], 3, width, height, frames, fps)
    assert np.stack(list(film.pictures())).shape == (frames, height, width, 3)


def test_trajectories_are_where_the_picture_shows_the_thing() -> None:
    film = Film(BALL, 4, 240, 180, 10, 10.0)
    truth = film.trajectories()["0-ball-0"]
    for i, frame in enumerate(film.pictures()):
        red = (frame[..., 0] > 120) & (frame[..., 1] < 90) & (frame[..., 2] < 90)
        ys, xs = np.nonzero(red)
        assert truth["visible"][i]
        assert xs.mean() + 0.5 == pytest.approx(truth["x"][i], abs=1.5)
        assert ys.mean() + 0.5 == pytest.approx(truth["y"][i], abs=1.5)
        assert np.ptp(xs) + 1 == pytest.approx(truth["size"], abs=3)


def test_a_thrown_ball_of_a_game_of_catch_flies_on_parabolas() -> None:
    film = Film(STANDARD["park-frisbee"], 0, 400, 300, 200, 100.0)
    y = np.array(film.trajectories()["1-frisbee-0"]["y"])
    bend = np.diff(y, 2) * 100**2 / (300 / 4.0)  # metres per second², downwards in the picture
    flying = np.abs(bend - GRAVITY) < 0.05
    resting = np.abs(bend) < 1e-6
    assert flying.mean() > 0.5 and (flying | resting).mean() > 0.9


# --- flaws ---


OF_BODIES = {
    "no-gravity": "basketball-arc", "unequal-gravity": "two-balls-different-heights",
    "wrong-period": "two-pendulums-lengths", "momentum-created": "two-carts-collide",
    "pass-through": "two-carts-collide",
}  # fmt: skip


@pytest.mark.parametrize("flaw", FLAWS)
def test_strength_0_changes_nothing_and_strength_1_something(flaw: str) -> None:
    prompt = STANDARD[OF_BODIES.get(flaw, "park-football")]
    clean = pictures(prompt)
    assert np.array_equal(pictures(prompt, flaw=flaw, strength=0.0), clean)
    assert not np.array_equal(pictures(prompt, flaw=flaw, strength=1.0), clean)
    assert np.array_equal(
        pictures(prompt, flaw=flaw, strength=0.7), pictures(prompt, flaw=flaw, strength=0.7)
    )


@pytest.mark.parametrize("flaw", ["flicker", "jitter", "blur", "noise", "wrong-colour"])
def test_more_strength_is_further_from_the_clean_film(flaw: str) -> None:
    clean = pictures(BALL).astype(float)
    far = [np.abs(pictures(BALL, flaw=flaw, strength=s) - clean).mean() for s in (0.1, 0.3, 1.0)]
    assert 0 < far[0] < far[1] < far[2]


def test_time_flaws_only_choose_among_the_worlds_frames() -> None:
    rng = generator_of("order")
    assert reorder("frozen", 1.0, 8, rng) == [0] * 8
    assert reorder("reversed", 1.0, 8, rng) == list(range(7, -1, -1))
    assert reorder("reversed", 3 / 7, 8, rng) == [0, 1, 2, 3, 4, 3, 2, 1]
    assert reorder("low-fps", 1.0, 10, rng) == [0] * 8 + [8] * 2
    assert reorder("low-fps", 0.01, 4, rng) == [0, 0, 2, 2]
    shuffled = reorder("shuffled", 1.0, 20, rng)
    assert sorted(shuffled) == list(range(20)) and shuffled != list(range(20))
    for count in (2, 6, 20):
        some = reorder("shuffled", count / 20, 20, rng)
        assert sum(a != b for a, b in enumerate(some)) == count and sorted(some) == list(range(20))
    half = reorder("frozen", 0.5, 21, rng)
    assert sum(a == b for a, b in itertools.pairwise(half)) == 10


@examples(200)
@given(st.sampled_from(["frozen", "low-fps", "reversed", "shuffled"]), st.floats(0, 1), st.integers(1, 60))
def test_an_order_stays_inside_the_film(name: str, strength: float, count: int) -> None:
    order = reorder(name, strength, count, generator_of(name, strength, count))
    assert len(order) == count and all(0 <= k < count for k in order)


def test_frozen_frames_are_equal_to_the_last_bit_even_with_camera_noise() -> None:
    film = pictures(BALL, flaw="frozen", strength=1.0, noise=5.0)
    assert all(np.array_equal(film[0], frame) for frame in film)


def test_vanish_and_teleport_touch_the_main_actor_alone_and_show_in_the_truth() -> None:
    clean = Film(STANDARD["park-football"], 0, 200, 150).trajectories()
    gone = Film(STANDARD["park-football"], 0, 200, 150, flaw="vanish", strength=1.0).trajectories()
    moved = Film(STANDARD["park-football"], 0, 200, 150, flaw="teleport", strength=1.0).trajectories()
    lead = Film(STANDARD["park-football"], 0).scene.lead.name
    for name in clean:
        if name != lead:
            assert clean[name] == gone[name] == moved[name]
    assert 0.5 < 1 - np.mean(gone[lead]["visible"]) < 0.7
    jump = np.array(moved[lead]["x"]) - np.array(clean[lead]["x"])
    assert set(np.round(np.abs(jump))) == {0.0, 100.0}


def test_without_gravity_a_ball_goes_straight_on() -> None:
    fields: dict[str, Any] = {"width": 400, "height": 300, "frames": 20, "fps": 20.0}
    film = Film(STANDARD["basketball-arc"], 0, flaw="no-gravity", strength=1.0, **fields)
    truth = film.trajectories()["0-basketball-0"]
    assert np.abs(np.diff(truth["y"], 2)).max() < 1e-6 and np.ptp(truth["y"]) > 50


def test_a_wrong_subject_can_do_the_same_and_is_ever_less_like_it() -> None:
    others = stand_ins("dog", "chase")
    assert "dog" not in others and all("chase" in KINDS[k].actions for k in others)
    assert KINDS[others[0]].family == "quadruped" and KINDS[others[-1]].family != "quadruped"
    film = Film(STANDARD["park-catch-and-dog"], 0, flaw="wrong-subject", strength=1.0)
    assert "1-dog-0" not in film.trajectories()
    lonely = scene({"kind": "ramp"}, place="room")
    with pytest.raises(CannotDraw, match="nothing else"):
        _ = Film(lonely, 0, flaw="wrong-subject", strength=1.0).scene


def test_an_unknown_flaw_is_an_error() -> None:
    with pytest.raises(UsageError, match="no flaw 'rust'"):
        _ = Film(BALL, 0, flaw="rust").scene
