"""A study for a crowd-work platform: clips and a CSV of tasks out, a CSV of answers back in."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from evals.errors import LabelsError, RunError
from evals.judges.wording import PEOPLE
from evals.ratings.clips import checked_clip, checks
from evals.ratings.study import Choice, Kind, Pair, StudyFolder, Vote, now
from evals.records import is_regular
from evals.runs.journal import Journal, write_atomically

TASKS, CLIPS = "tasks.csv", "clips"
Answer = Literal["left", "right", "tie"]
MOST_BYTES = 100 << 20
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _tasks(study: StudyFolder) -> list[tuple[str, Pair, Kind, Literal["a", "b"]]]:
    """Every pair once and the blurred checks among them, with a side by chance; in the order of their ids,
    which tells nothing."""
    wanted: list[tuple[Pair, Kind]] = [(pair, "pair") for pair in study.study.pairs]
    wanted += [(pair, "blurred") for pair in checks(study)]
    found = []
    for pair, kind in wanted:
        left: Literal["a", "b"] = "ab"[int(study.study.hidden("crowd side", pair.id, kind), 16) % 2]  # type: ignore[assignment]
        found.append((study.study.hidden("task", pair.id, kind), pair, kind, left))
    return sorted(found, key=lambda one: one[0])


def export(study: StudyFolder, out: Path) -> int:
    """Write `tasks.csv` (task, question, prompt, left, right) and the clips that it names, each under a name
    of its own; gives the number of tasks. Raises `RunError` for a folder that holds something."""
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; give another --out")
    (out / CLIPS).mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["task", "question", "prompt", "left", "right"])
    tasks = _tasks(study)
    for task, pair, kind, left in tasks:
        names = []
        for side in ("left", "right"):
            whose = left if side == "left" else ("b" if left == "a" else "a")
            if kind == "blurred":
                place = study.clip(checked_clip(study, pair), blurred=whose == "b")
            else:
                place = study.clip(pair.sha256_a if whose == "a" else pair.sha256_b)
            name = f"{CLIPS}/{study.study.hidden('crowd', task, side)}.mp4"
            shutil.copy2(place, out / name)
            names.append(name)
        prompt = f"'{pair.text}" if pair.text.startswith(FORMULA) else pair.text
        table.writerow([task, PEOPLE[study.study.aspect], prompt, *names])
    write_atomically(out / TASKS, text.getvalue().encode())
    return len(tasks)


def take(study: StudyFolder, path: Path) -> int:
    """Add the votes of a CSV with the columns `task`, `rater` and `choice` (left, right or tie); gives how
    many were new. What a rater has voted on already is left as it is. Raises `LabelsError` with the line;
    then nothing is added."""
    if not is_regular(path) or path.stat().st_size > MOST_BYTES:
        raise LabelsError("no such file, or not a plain one of at most 100 MB", path)
    tasks = {task: (pair, kind, left) for task, pair, kind, left in _tasks(study)}
    known = {(vote.rater, vote.kind, vote.pair) for vote in study.votes()}
    made: list[Vote] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if lacks := [n for n in ("task", "rater", "choice") if n not in (rows.fieldnames or ())]:
                raise LabelsError(f"has no column {', '.join(lacks)}", path)
            for row in rows:
                task, rater, said = ((row.get(n) or "").strip() for n in ("task", "rater", "choice"))
                if task not in tasks:
                    raise LabelsError(f"task {task!r:.60} is none of this study", path, rows.line_num)
                if said.lower() not in get_args(Answer):
                    raise LabelsError(f"{said!r:.40} is none of left, right, tie", path, rows.line_num)
                if not rater or len(rater) > 200:
                    raise LabelsError("names no rater", path, rows.line_num)
                pair, kind, left = tasks[task]
                if (rater, kind, pair.id) in known:
                    continue
                known.add((rater, kind, pair.id))
                made.append(_vote(pair, kind, left, rater, said.lower()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"is no CSV in UTF-8: {error}", path) from None
    _append(study, made)
    return len(made)


def _vote(pair: Pair, kind: Kind, left: Literal["a", "b"], rater: str, said: str) -> Vote:
    other: Choice = "b" if left == "a" else "a"
    choice: Choice = "tie" if said == "tie" else left if said == "left" else other
    return Vote(pair=pair.id, kind=kind, rater=rater, choice=choice, left=left, time=now())


def _append(study: StudyFolder, votes: Sequence[Vote]) -> None:
    with Journal(study.votes_file) as journal:
        for vote in votes:
            journal.append(vote.model_dump(mode="json", by_alias=True))
