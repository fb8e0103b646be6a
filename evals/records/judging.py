"""How far a judge can be trusted: what it answered to questions whose answers are known."""

from __future__ import annotations

from typing import Literal

from evals.records.base import Record

Control = Literal[
    "answers", "yes_share", "consistency", "pictures", "motion", "order", "shows", "semantic",
    "physics", "pairs",
]  # fmt: skip


class Rate(Record):
    """A rate over `n` prompts, with its 95 % interval where there are enough."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None


class Calibration(Record):
    """A judge's answers on controls, as they were measured in one run.

    `spec_digest` is that of the judge, `served` what its server calls the model. `controls` names the clips,
    `clips_digest` is theirs, `asked` counts the questions. `rates` by control:

    - `answers`: the share of questions that got an answer;
    - `yes_share`: the share of yes over questions and their negations; half of these are right;
    - `consistency`: the share of questions to which the negation got the other answer;
    - `pictures`: the share of questions answered yes on the matching clip and no on another prompt's;
    - `motion`: whether a clip moves, asked of the clip and of its first frame repeated, answered rightly;
    - `order`: whether frames are in order, asked of the clip and of its frames shuffled, answered rightly;
    - `shows`, `semantic`: the share of prompts whose own clip is rated above another's, ties half;
    - `physics`: the share of clips rated above themselves shuffled, ties half;
    - `pairs`: the share of clips preferred, in both orders, to what is worse by construction.

    `fails` are the controls that were not passed. `rewrote`: the same model rewrote the prompts.
    """

    judge: str
    spec_digest: str
    pinned: bool
    served: tuple[str, ...] = ()
    time: str
    controls: str
    clips_digest: str
    prompts: int
    asked: int
    rates: dict[Control, Rate]
    fails: tuple[Control, ...] = ()
    rewrote: bool = False
