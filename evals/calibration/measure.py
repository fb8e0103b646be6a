"""Asks a judge about controls, and says how far it can be trusted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import cv2
import numpy as np
from scipy import stats

from evals.calibration.clips import ControlClip, certain, clips_digest, is_moving, others
from evals.errors import NoAnswer
from evals.judges import wording
from evals.judges.asker import Asker
from evals.judges.base import Ask, Sight
from evals.judges.forms import (
    CONTROLS,
    PAIRWISE,
    REQUIRED,
    Form,
    Votes,
    better,
    negated,
    rating,
    shows,
    yes_no,
)  # fmt: skip
from evals.records import Calibration, Control, Rate
from evals.runs.keys import random_seed

LEAST_PROMPTS = 5  # for an interval
BLUR = 0.04  # of the short side
BOUNDS: dict[Control, tuple[float, float]] = {
    "answers": (0.9, 1.0),
    "yes_share": (0.35, 0.65),
    "consistency": (0.75, 1.0),
    "pictures": (0.5, 1.0),
    "motion": (0.75, 1.0),
    "shows": (0.7, 1.0),
    "semantic": (0.7, 1.0),
    "physics": (0.7, 1.0),
    "pairs": (0.7, 1.0),
}
"""What a judge must reach. A judge that always says yes has a share of 1 and a consistency of 0; one that
guesses has a consistency of 0.5, and 0.25 for pictures."""


@dataclass(frozen=True)
class _Job:
    """A control clip with another prompt's, as they are shown."""

    clip: ControlClip
    own: Sight
    other: Sight | None


@dataclass
class _Found:
    """What one clip's controls gave: values by control, and how many questions were asked and answered."""

    values: dict[Control, float]
    asked: int = 0
    answered: int = 0


def calibrate(
    asker: Asker, clips: Sequence[ControlClip], sights: Callable[[ControlClip], Sight | None],
    forms: Sequence[Form], controls: str, rewrote: bool, advance: Callable[[], None] = lambda: None,
    aspect: str | None = None,
) -> Calibration:  # fmt: skip
    """Ask everything about every control clip. `forms` are those that the run's metrics ask, `controls` says
    what the clips are, `rewrote` whether the judge's model rewrote the run's prompts. An `aspect` in which
    two videos are to be compared adds pairs."""

    def jobs() -> list[_Job]:
        made = []
        for clip, other in zip(clips, others(clips), strict=True):
            own = sights(clip)
            if own is not None:
                made.append(_Job(clip, own, sights(other) if other is not None else None))
        return made

    made, found = jobs(), dict[str, _Found]()
    for job, one in asker.each(lambda job: _controls(asker, job, forms, aspect), made):
        found[job.clip.prompt.id] = one
        advance()
    measured = [found[job.clip.prompt.id] for job in made]
    judge = asker.judge
    rates = _rates(measured)
    needed = dict.fromkeys(control for form in forms for control in REQUIRED[form])
    needed |= dict.fromkeys(PAIRWISE) if aspect is not None else {}
    if not _holds("answers", rates):  # what has no answer is not measured, and so not failed
        needed = {one: None for one in needed if one in rates}
    return Calibration(
        judge=judge.name, spec_digest=judge.spec.digest, pinned=bool(judge.spec.params["pinned"]),
        served=asker.log.served(judge.name), time=datetime.now(UTC).isoformat(timespec="seconds"),
        controls=controls, clips_digest=clips_digest(clips), prompts=len(measured),
        asked=sum(one.asked for one in measured), rates=rates,
        fails=tuple(one for one in needed if not _holds(one, rates)), rewrote=rewrote,
    )  # fmt: skip


def _holds(control: Control, rates: dict[Control, Rate]) -> bool:
    low, high = BOUNDS[control]
    return control in rates and low <= rates[control].value <= high


def _rates(found: Sequence[_Found]) -> dict[Control, Rate]:
    """Means over prompts, in the order in which they are shown."""
    asked = sum(one.asked for one in found)
    rates: dict[Control, Rate] = {}
    if not sum(one.answered for one in found):
        rates["answers"] = Rate(value=0.0, n=asked)
    elif asked:
        share = sum(one.answered for one in found) / asked
        rates["answers"] = Rate(value=share, n=asked)
    for control in CONTROLS:
        values = [one.values[control] for one in found if control in one.values]
        if values:
            rates[control] = rate(values)
    return rates


def rate(values: Sequence[float]) -> Rate:
    """A mean of shares with Student's t interval, cut to 0 and 1; none under 5 values, or where they are all
    the same."""
    n, mean, spread = (
        len(values),
        float(np.mean(values)),
        float(np.std(values, ddof=1)) if len(values) > 1 else 0,
    )
    if n < LEAST_PROMPTS or spread == 0:
        return Rate(value=mean, n=n)
    half = float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    return Rate(value=mean, n=n, low=max(0.0, mean - half), high=min(1.0, mean + half))


def _controls(asker: Asker, job: _Job, forms: Sequence[Form], aspect: str | None) -> _Found:
    """All controls of one clip."""
    found, prompt = _Found({}), job.clip.prompt

    def votes(sight: Sight | None, ask: Ask) -> Votes | None:
        if sight is None:
            return None
        found.asked += 1
        try:
            made = asker.votes([sight], ask, control=prompt.id)
        except NoAnswer:
            return None
        found.answered += 1
        return Votes(made)

    def yes(sight: Sight | None, ask: Ask) -> float | None:
        made = votes(sight, ask)
        return None if made is None else made.share("yes")

    on_own = {q.text: yes(job.own, yes_no(q.text)) for q in prompt.questions}
    pairs = [(on_own[q.text], yes(job.own, negated(q.text))) for q in prompt.questions]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    if both:
        found.values["yes_share"] = float(np.mean(both))
        found.values["consistency"] = float(np.mean([abs(a - b) for a, b in both]))
    sure = [(on_own[q.text], yes(job.other, yes_no(q.text))) for q in certain(prompt)]
    seen = [own * (1 - other) for own, other in sure if own is not None and other is not None]
    if seen:
        found.values["pictures"] = float(np.mean(seen))
    if is_moving(prompt):
        frozen, shuffled = still(job.own), mixed(job.own, prompt.id)
        asked: tuple[tuple[Control, str, Sight], ...] = (
            ("motion", wording.MOVES, frozen),
            ("order", wording.IN_ORDER, shuffled),
        )
        for control, text, changed in asked:
            right, wrong = yes(job.own, yes_no(text)), yes(changed, yes_no(text))
            if right is not None and wrong is not None:
                found.values[control] = (right + 1 - wrong) / 2
        if "physics" in forms:
            _compare(found, "physics", votes(job.own, rating("physics", "")),
                     votes(shuffled, rating("physics", "")))  # fmt: skip
    if "semantic" in forms:
        ask = rating("semantic", prompt.text)
        _compare(found, "semantic", votes(job.own, ask), votes(job.other, ask))
    if "shows" in forms:
        ask = shows(prompt.text)
        _compare(found, "shows", votes(job.own, ask), votes(job.other, ask))
    if aspect is not None:
        _prefer(asker, job, aspect, found)
    return found


def _prefer(asker: Asker, job: _Job, aspect: str, found: _Found) -> None:
    """Whether the clip is preferred, in both orders, to what is worse: its frames shuffled for how things
    move, itself blurred for how it looks, another prompt's clip for what it shows."""
    worse: Sight | None = job.other
    if aspect in ("motion", "physics"):
        worse = mixed(job.own, job.clip.prompt.id) if is_moving(job.clip.prompt) else None
    elif aspect == "appearance":
        worse = blurred(job.own)
    if worse is None:
        return
    ask, right = better(aspect, job.clip.prompt.text), 0.0
    for sights, expected in (((job.own, worse), "first"), ((worse, job.own), "second")):
        found.asked += 1
        try:
            made = Votes(asker.votes(sights, ask, control=job.clip.prompt.id))
        except NoAnswer:
            return
        found.answered += 1
        right += float(made.share(expected) > 0.5)
    found.values["pairs"] = float(right == 2)


def _compare(found: _Found, control: Control, better: Votes | None, worse: Votes | None) -> None:
    """Whether the better one is rated higher; ties count half."""
    if better is None or worse is None:
        return
    a, b = (
        (float(np.mean([r.probabilities["yes"] for r in v.replies])) if control == "shows" else v.mean)
        for v in (better, worse)
    )
    found.values[control] = float(a > b) + 0.5 * float(a == b)


def still(sight: Sight) -> Sight:
    """The clip frozen: its first frame at every time."""
    return replace(sight, pictures=(sight.pictures[0],) * len(sight.pictures))


def blurred(sight: Sight) -> Sight:
    """The clip blurred, so that nothing of it is sharp."""
    made = []
    for picture in sight.pictures:
        frame = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert frame is not None  # we wrote it
        soft = cv2.GaussianBlur(frame, (0, 0), BLUR * min(frame.shape[:2]))
        made.append(cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return replace(sight, pictures=tuple(made))


def mixed(sight: Sight, name: str) -> Sight:
    """The clip with its frames shuffled, the same way each time: the times stay in order. No frame keeps its
    neighbours where there are enough."""
    order, made = list(range(len(sight.pictures))), random.Random(random_seed("shuffled", name))
    for _ in range(100):
        made.shuffle(order)
        if all(abs(a - b) != 1 for a, b in pairwise(order)):
            break
    if order == sorted(order):  # few frames: at least another order
        order.reverse()
    return replace(sight, pictures=tuple(sight.pictures[i] for i in order))
