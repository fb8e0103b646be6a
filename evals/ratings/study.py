"""A study: pairs of clips of the same prompt by two models, and the votes on them.

::

    study.json      what is compared, by what question; the secret that hides which clip is whose
    votes.jsonl     one line per vote, of people and judges
    answers.jsonl   a judge's answers, as they came
    clips/          copies of the clips, all encoded alike, under names that tell nothing

Votes are only ever added. Whoever holds the folder knows which clip is whose; raters see none of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from evals.errors import RunError, UsageError
from evals.records import SCHEMA, Calibration, PromptId, Record, Text, digest, explain
from evals.runs import journal
from evals.runs.folder import RunFolder

Choice = Literal["a", "b", "tie"]
Kind = Literal["pair", "blurred", "repeat"]
Aspect = Literal["overall", "alignment", "motion", "physics", "appearance"]
BLUR = 0.04  # of the short side: plainly worse, and still the same clip


class Run(Record):
    """A run that is compared: its folder, its own id, and what it is called in results."""

    label: str
    path: str
    id: str = ""


class Pair(Record):
    """Two models' clips of one prompt and seed, by their labels and SHA-256."""

    id: str
    prompt_id: PromptId
    seed: int
    text: Text
    a: str
    b: str
    sha256_a: str
    sha256_b: str


class Study(Record):
    """The contents of `study.json`. `limit` is how many prompts were asked for, `port` where the page was
    served last; `raters` are names with their link tokens, `calibrations` what judges answered to their
    controls, by their specs' digests."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    id: str
    name: str
    aspect: Aspect
    secret: str
    runs: tuple[Run, ...]
    pairs: tuple[Pair, ...]
    limit: int | None = None
    port: int = 0
    raters: dict[str, str] = {}
    calibrations: dict[str, Calibration] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def hidden(self, *parts: object) -> str:
        """A name that tells nothing without the secret."""
        text = json.dumps([str(part) for part in parts]).encode()
        return hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()[:32]


class Vote(Record):
    """A vote on a pair: for the clip of model `a`, of `b`, or none. `kind`: `pair`; `blurred`, a check with
    one of its clips (as `a`) beside the same clip blurred (as `b`); `repeat`, a pair shown once more. `left`
    says whose clip was on the left. A judge's vote is of the judge with that spec's digest and holds in both
    orders; `inconsistent` where these disagreed."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    pair: str
    kind: Kind = "pair"
    rater: str
    choice: Choice
    left: Literal["a", "b", "both"]
    inconsistent: bool = False
    judge: str = ""
    seconds: float | None = None
    time: str = ""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StudyFolder:
    """A study on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        place = path / "study.json"
        try:
            data = json.loads(place.read_bytes())
            self.study = Study.model_validate(data)
        except FileNotFoundError:
            raise RunError(
                f"{path}: is no study (it holds no study.json); `t2v-evals rate` makes one"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            said = explain(error) if isinstance(error, ValidationError) else str(error)
            raise RunError(f"{place}: cannot be read: {said:.200}") from None
        self.pairs = {pair.id: pair for pair in self.study.pairs}
        labels = {run.label for run in self.study.runs}
        if any(not {pair.a, pair.b} <= labels for pair in self.study.pairs):
            raise RunError(f"{place}: names runs that it does not have; it was edited")

    @property
    def clips(self) -> Path:
        return self.path / "clips"

    @property
    def votes_file(self) -> Path:
        return self.path / "votes.jsonl"

    def votes(self) -> list[Vote]:
        """All votes, oldest first; of several by one rater on one trial the first. Raises `RunError` for a
        damaged line."""
        found: dict[tuple[str, ...], Vote] = {}
        for number, record in journal.read(self.votes_file):
            try:
                vote = Vote.model_validate(record)
            except ValidationError as error:
                raise RunError(f"{self.votes_file}:{number}: not a vote ({explain(error)})") from None
            if vote.pair not in self.pairs:
                raise RunError(f"{self.votes_file}:{number}: a vote on a pair that study.json does not have")
            found.setdefault((vote.rater, vote.judge, vote.kind, vote.pair), vote)
        return list(found.values())

    def clip(self, sha256: str, blurred: bool = False) -> Path:
        """Where the copy of a clip lies."""
        return self.clips / f"{self.study.hidden('clip', sha256, blurred)}.mp4"

    def add_raters(self, names: Sequence[str]) -> None:
        """Give raters that have none a link token."""
        raters = dict(self.study.raters)
        for name in names:
            raters.setdefault(name, secrets.token_urlsafe(24))
        if raters != self.study.raters:
            self._update(raters=raters)

    def add_calibration(self, found: Calibration) -> None:
        """Keep what a judge answered to its controls."""
        self._update(calibrations={**self.study.calibrations, found.spec_digest: found})

    def set_port(self, port: int) -> None:
        """Keep where the page is served, so that links hold."""
        self._update(port=port)

    def _update(self, **changes: object) -> None:
        self.study = self.study.model_copy(update=changes)
        _write(self.path, self.study)


def _write(path: Path, study: Study) -> None:
    # The secret and the tokens are what hides the models from raters; they are no keys of an account.
    data = study.model_dump(mode="json", by_alias=True)
    text = json.dumps(data, indent=1, ensure_ascii=False)
    journal.write_atomically(path / "study.json", text.encode(), mode=0o600)


def open_study(
    path: Path, runs: Sequence[RunFolder], labels: Sequence[str], aspect: Aspect, limit: int | None = None
) -> StudyFolder:
    """The study in a folder that the caller has locked, made where there is none. Raises `UsageError` for
    runs that share no clip, and for a folder that holds a study of other runs or another question."""
    if (path / "study.json").exists():
        found = StudyFolder(path)
        before = {run.label: run.id for run in found.study.runs}
        asked = {label: run.info.id for label, run in zip(labels, runs, strict=True)}
        other_limit = limit is not None and limit != found.study.limit
        if before != asked or found.study.aspect != aspect or other_limit:
            limited = f", {found.study.limit} prompts" if found.study.limit else ""
            what = "other runs of these names" if set(before) == set(asked) and before != asked else ""
            raise UsageError(
                f"{path}: holds a study of {what or ', '.join(before)} ({found.study.aspect}{limited}); give"
                " another --out"
            )
        return found
    secret = secrets.token_hex(16)
    if aspect in ("overall", "alignment") and not all(p.text_known for r in runs for p in r.prompts.values()):
        raise UsageError(
            "the prompts of these clips are not known, only their files' names; give --aspect motion, physics"
            " or appearance, or a manifest with prompts"
        )
    pairs = _pairs(runs, labels, secret, limit)
    if not pairs:
        raise UsageError("these runs share no prompt and seed of which both have a clip in the same words")
    study = Study(
        id=secrets.token_hex(8), name=path.name, aspect=aspect, secret=secret, pairs=tuple(pairs),
        limit=limit,
        runs=tuple(
            Run(label=label, path=str(run.path.resolve()), id=run.info.id)
            for label, run in zip(labels, runs, strict=True)
        ),
    )  # fmt: skip
    _write(path, study)
    return StudyFolder(path)


def _pairs(runs: Sequence[RunFolder], labels: Sequence[str], secret: str, limit: int | None) -> list[Pair]:
    """Every two models on every prompt and seed that both have, prompts in a random order that is the same
    for all pairs of models; of at most `limit` prompts."""
    samples = [run.samples().ok() for run in runs]
    words = [{p.id: p.text for p in run.prompts.values()} for run in runs]
    shared: set[str] = set()
    found: list[tuple[str, Pair]] = []
    for i, j in combinations(range(len(runs)), 2):
        for at, sample in samples[i].items():
            other = samples[j].get(at)
            if other is None or words[i][at[0]] != words[j][at[0]]:
                continue
            shared.add(at[0])
            made = Pair(
                id=digest([secret, *at, labels[i], labels[j]]), prompt_id=at[0], seed=at[1],
                text=words[i][at[0]], a=labels[i], b=labels[j],
                sha256_a=str(sample.sha256), sha256_b=str(other.sha256),
            )  # fmt: skip
            found.append((digest([secret, at[0]]), made))
    kept = sorted(shared, key=lambda name: digest([secret, name]))[:limit]
    return [pair for _, pair in sorted(found, key=lambda one: one[0]) if pair.prompt_id in kept]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
