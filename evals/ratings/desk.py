"""Hands out trials to raters and takes their votes. What a rater is given tells nothing of the models."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evals.errors import UsageError
from evals.ratings.clips import checked_clip, checks
from evals.ratings.study import Choice, Kind, Pair, StudyFolder, Vote, now
from evals.runs.journal import Journal

Side = Literal["left", "right"]
PACE = 8  # trials, of which one is a blurred check and one a repeat
CHECK_AT, REPEAT_AT = 3, 7
APART = 4  # votes between a pair and its repeat


class UnknownTrial(UsageError):
    """A vote on what the rater was not given, or has voted on already."""

    code = "unknown_trial"


@dataclass(frozen=True)
class Trial:
    """A pair as one rater sees it: `left` is whose clip is on the left."""

    id: str
    pair: Pair
    kind: Kind
    left: Literal["a", "b"]


class Desk:
    """The trials of one study, safe for threads; use as a context manager. `most` pairs are given to a
    rater."""

    def __init__(self, study: StudyFolder, most: int | None = None) -> None:
        self.study, self._hidden = study, study.study.hidden
        self.target = min(most or len(study.pairs), len(study.pairs))
        self._checks = checks(study)
        self._lock = threading.Lock()
        self._mine: dict[str, list[Vote]] = defaultdict(list)
        self._counts: Counter[str] = Counter()
        self._files: dict[str, Path] = {}
        self._open: dict[str, Trial] = {}
        for vote in study.votes():
            self._take(vote)
        self._journal = Journal(study.votes_file)

    def _take(self, vote: Vote) -> None:
        self._mine[vote.rater].append(vote)
        self._counts[vote.pair] += vote.kind == "pair"

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def rater(self, token: str) -> str | None:
        """Whose link a token is."""
        return next((name for name, known in self.study.study.raters.items() if known == token), None)

    def done(self, rater: str) -> int:
        """How many pairs a rater has voted on."""
        return sum(vote.kind == "pair" for vote in self._mine[rater])

    def next(self, rater: str) -> Trial | None:
        """The rater's next trial, the same until it is voted on; None where there is none."""
        with self._lock:
            return self._opened(rater)

    def _opened(self, rater: str) -> Trial | None:
        if rater not in self._open:
            made = self._next(rater)
            if made is None:
                return None
            self._open[rater] = made
            for side in ("left", "right"):
                self._files[self.clip_name(rater, made, side)] = self._file(made, side)
        return self._open[rater]

    def _next(self, rater: str) -> Trial | None:
        mine = self._mine[rater]
        voted = {(vote.kind, vote.pair) for vote in mine}
        if self.done(rater) >= self.target:
            return None
        at = len(mine) % PACE
        if at == CHECK_AT:
            for pair in sorted(self._checks, key=lambda p: self._hidden(rater, p.id)):
                if ("blurred", pair.id) not in voted:
                    return self._trial(rater, pair, "blurred")
        if at == REPEAT_AT:
            for vote in [v for v in mine if v.kind == "pair"][:-APART]:
                if ("repeat", vote.pair) not in voted:
                    return self._trial(rater, self.study.pairs[vote.pair], "repeat")
        left = [pair for pair in self.study.study.pairs if ("pair", pair.id) not in voted]
        # The least voted first; among these each rater has an order of his own.
        pair = min(left, key=lambda p: (self._counts[p.id], self._hidden(rater, p.id)))
        return self._trial(rater, pair, "pair")

    def _trial(self, rater: str, pair: Pair, kind: Kind) -> Trial:
        first = int(self._hidden("side", rater, pair.id, "blurred" if kind == "blurred" else "pair"), 16) % 2
        left: Literal["a", "b"] = "a" if first ^ (kind == "repeat") else "b"
        return Trial(self._hidden("trial", rater, pair.id, kind), pair, kind, left)

    def _file(self, trial: Trial, side: Side) -> Path:
        whose = trial.left if side == "left" else ("b" if trial.left == "a" else "a")
        pair = trial.pair
        if trial.kind == "blurred":
            return self.study.clip(checked_clip(self.study, pair), blurred=whose == "b")
        return self.study.clip(pair.sha256_a if whose == "a" else pair.sha256_b)

    def clip_name(self, rater: str, trial: Trial, side: Side) -> str:
        """The name under which a clip is served in one trial, and in no other."""
        return self._hidden("shown", rater, trial.id, side)

    def file(self, name: str) -> Path | None:
        """The clip that is served under a name."""
        return self._files.get(name)

    def shown(self, rater: str) -> dict[str, Any]:
        """What the page is told: the trial without a word on whose clips they are."""
        trial, done = self.next(rater), self.done(rater)
        about = {"done": done, "total": self.target}
        if trial is None:
            return {**about, "trial": None}
        clips = {side: f"{self.clip_name(rater, trial, side)}.mp4" for side in ("left", "right")}
        return {**about, "trial": trial.id, "prompt": trial.pair.text, **clips}

    def vote(self, rater: str, trial_id: str, choice: Side | Literal["tie"], seconds: float | None) -> Vote:
        """Record a vote; it is on the disk when this returns. Raises `UnknownTrial`."""
        with self._lock:
            trial = self._opened(rater)  # a trial that was given out before a restart is the same now
            if trial is None or trial.id != trial_id:
                raise UnknownTrial("this pair is not open any more; reload the page")
            other: Choice = "b" if trial.left == "a" else "a"
            chosen: Choice = "tie" if choice == "tie" else trial.left if choice == "left" else other
            made = Vote(
                pair=trial.pair.id, kind=trial.kind, rater=rater, choice=chosen, left=trial.left,
                seconds=seconds, time=now(),
            )  # fmt: skip
            self._journal.append(made.model_dump(mode="json", by_alias=True))
            self._take(made)
            del self._open[rater]
            return made
