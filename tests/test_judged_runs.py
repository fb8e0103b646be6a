"""Runs that a judge scores: failures, kills, keys, judges that are away, and their log."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from evals.errors import Reason
from evals.runs.folder import RunFolder
from evals.runs.journal import read
from tests.conftest import Cli, call, start
from tests.judgeserver import DATE, Judges, World, write_discs
from tests.videoserver import serve

LOOKER = f"looker-{DATE}"


@pytest.fixture
def discs(tmp_path: Path, cli: Cli) -> Path:
    """A run of clips that show their prompts, made and not scored: also the controls."""
    prompts = write_discs(tmp_path / "good")
    done = cli("generate", "--generator", f"folder:{tmp_path / 'good'}", "--prompts", prompts,
               "--out", tmp_path / "runs", "--name", "good")  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path / "runs" / "good"


def judged(run: Path, name: str, *options: str) -> list[Any]:
    """The arguments that have a judge score a run with it as its own controls."""
    given = [x for one in (f"controls={run}", *options) for x in ("--judge-option", one)]
    return ["score", run, "--metrics", f"judge_alignment[{name}]", *given, "--judge-option", "pause=0.01"]


def test_a_failed_answer_costs_its_sample_and_is_asked_again_as_told(
    discs: Path, cli: Cli, tmp_path: Path
) -> None:
    broken = {"id": "odd", "text": "Does the disc shine? [judge=malformed*99]"}
    prompts = write_discs(tmp_path / "odd", extra=[broken])
    assert cli("generate", "--generator", f"folder:{tmp_path / 'odd'}", "--prompts", prompts,
               "--out", tmp_path / "runs", "--name", "odd").code == 0  # fmt: skip
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        name = f"openai-chat:{LOOKER}@{base}"
        run = tmp_path / "runs" / "odd"
        arguments = [x if x != f"controls={run}" else f"controls={discs}" for x in judged(run, name)]
        assert cli(*arguments).code == 4
        scores = RunFolder(run).scores("native")
        reasons = {s.reason for mine in scores.values() for s in mine.values()}
        assert reasons == {Reason.ANSWER_UNPARSABLE}
        before = sum(world.submits.values())
        assert cli(*arguments).code == 4
        assert sum(world.submits.values()) == before  # the answer is what it is
        assert cli(*arguments, "--retry", "all").code == 4
        assert sum(world.submits.values()) == before + 8  # of each prompt, the one that failed


@pytest.mark.slow
def test_nothing_answered_is_asked_twice_after_a_kill(discs: Path, tmp_path: Path) -> None:
    """Killed twice in the middle; only what was on its way then may be asked again."""
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        name = f"openai-chat:{LOOKER}@{base}"
        log = discs / "answers/main.jsonl"
        for stop in (20, 80):
            process = start(*judged(discs, name, "concurrency=2"))
            while process.poll() is None and sum(1 for _ in _lines(log)) < stop:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        done = call(*judged(discs, name, "concurrency=2"))
        assert done.code == 0, done.err
        answered = {record["key"] for _, record in read(log)}
        assert len(answered) == sum(1 for _ in read(log))  # one answer each
        repeated = sum(count - 1 for count in world.submits.values())
        assert repeated <= 2 * 2  # two questions at once, two kills
        before = sum(world.submits.values())
        assert call(*judged(discs, name, "concurrency=2")).code == 0
        assert sum(world.submits.values()) == before
    run = RunFolder(discs)
    values = [s.value for mine in run.scores("native").values() for s in mine.values()]
    assert values == [1.0] * 8 and [c.fails for c in run.info.calibrations.values()] == [()]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.nightly
def test_a_stopped_run_goes_on(discs: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        name = f"openai-chat:{LOOKER}@{base}"
        process = start(*judged(discs, name))
        while process.poll() is None and len(_lines(discs / "answers/main.jsonl")) < 30:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert call(*judged(discs, name)).code == 0
    assert all(s.status == "ok" for mine in RunFolder(discs).scores("native").values() for s in mine.values())


@pytest.mark.slow
def test_the_key_is_in_no_file_and_no_log(discs: Path, tmp_path: Path) -> None:
    key = "sk-0123456789abcdefghij"
    world = World(tmp_path / "server", key=key, error_message=key)
    with serve(world, Judges) as base:
        name = f"openai-chat:{LOOKER}@{base}"
        environment = {**os.environ, "OPENAI_CHAT_API_KEY": key}
        process = start(*judged(discs, name), "-v", env=environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        wrong = start(
            *judged(discs, f"{name}x"), "-v", env={**environment, "OPENAI_CHAT_API_KEY": f"{key}-no"}
        )
        told = out + err + "".join(wrong.communicate(timeout=120))
        assert wrong.returncode == 2
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 15
    for path in files:
        assert key.encode() not in path.read_bytes(), path
    assert key not in told


def test_the_judge_that_rewrote_the_prompts_is_told(discs: Path, tmp_path: Path) -> None:
    from tests.helpers import edit_run

    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        name = f"openai-chat:{LOOKER}@{base}"

        def rewrite(data: dict[str, Any]) -> None:
            expand = {"name": "openai-chat", "version": 1, "params": {"model": LOOKER}}
            data["generator"].setdefault("params", {})["expand"] = expand

        edit_run(discs, rewrite)
        done = call(*judged(discs, name))
        assert done.code == 0 and "rewrote itself" in done.err
        assert all(c.rewrote for c in RunFolder(discs).info.calibrations.values())
        assert "It rewrote these prompts itself" in done.out


def test_a_judge_that_is_away_stops_the_run_with_the_reason(discs: Path, cli: Cli, tmp_path: Path) -> None:
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        name, port = f"openai-chat:{LOOKER}@{base}", int(base.rpartition(":")[2].partition("/")[0])
    done = cli(*judged(discs, name, "deadline=0.2"))
    assert (
        done.code == 2
        and "answered none of the first 3 questions" in done.err
        and "no connection" in done.err
    )
    assert not RunFolder(discs).info.calibrations
    with serve(world, Judges, port):
        assert cli(*judged(discs, name, "deadline=20")).code == 0  # and it goes on when the judge is back
    (found,) = RunFolder(discs).info.calibrations.values()
    assert found.fails == ()


def test_a_dry_run_counts_questions_and_asks_none(discs: Path, cli: Cli, tmp_path: Path) -> None:
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        done = cli(
            "run", "--generator", f"folder:{tmp_path / 'good'}", "--prompts", tmp_path / "good.yaml",
            "--dry-run", "--json", "--metrics", "sharpness", "--judge", f"openai-chat:{LOOKER}@{base}",
            "--judge-option", "votes=2",
        )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["questions_to_judges"] == 8 * (3 + 1 + 1) * 2
    assert not world.submits


def test_a_broken_log_is_named(discs: Path, cli: Cli, tmp_path: Path) -> None:
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        name = f"openai-chat:{LOOKER}@{base}"
        assert cli(*judged(discs, name)).code == 0
        log = discs / "answers/main.jsonl"
        log.write_bytes(log.read_bytes().replace(b'"choice":"yes"', b'"choice":"no "', 1))
        done = cli(*judged(discs, f"openai-chat:other-{DATE}@{base}"))
        assert done.code == 2 and "answers/main.jsonl:" in done.err and "check does not hold" in done.err
