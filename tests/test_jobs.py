"""Job APIs against a loopback server that fails in every way: outcomes, submits, and nothing paid twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Cli, Result, call, start
from tests.videoserver import World, serve

QUICK = ("-o", "poll=0.02", "-o", "pause=0.02")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "server")


@pytest.fixture
def base(world: World) -> Iterator[str]:
    with serve(world) as address:
        yield address


def write_prompts(path: Path, texts: list[str]) -> Path:
    rows = [{"id": f"p-{i}", "text": text} for i, text in enumerate(texts)]
    path.write_text(yaml.safe_dump({"name": "x", "prompts": rows}))
    return path


def samples(run: Path) -> dict[str, dict[str, Any]]:
    """The last record of every prompt."""
    found = {}
    for line in (run / "samples/main.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["prompt_id"]] = row
    return found


def arguments(base: str, prompts: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("generate", "--generator", f"openai-videos:tiny@{base}", "--prompts", prompts,
            "--out", out, "--name", "run", *QUICK, *more)  # fmt: skip


def test_the_servers_shape_by_the_official_client(base: str, world: World, tmp_path: Path) -> None:
    """The real `openai` package submits, polls, lists and downloads from the server that the tests use."""
    openai = pytest.importorskip("openai", reason="the official client is not installed")
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        job = client.videos.create(model="tiny", prompt="a red ball", seconds="4", size="720x1280")
        assert job.status == "queued" and world.accepted["a red ball", "0"] == 1
        while job.status != "completed":
            job = client.videos.retrieve(job.id)
        assert [j.id for j in client.videos.list()] == [job.id]
        content = client.videos.download_content(job.id).read()
    assert content == world.video("a red ball", "0")
    client.close()


FAULTS = {
    # prompt's faults: status, part of the message, submits, accepted jobs
    "": ("ok", "", 1, 1),
    "submit=429*2": ("ok", "", 3, 1),
    "submit=429-after*2": ("ok", "", 3, 1),
    "submit=429*9": ("failed", "HTTP 429", 6, 0),
    "submit=500": ("ok", "", 2, 1),
    "submit=503*2": ("ok", "", 3, 1),
    "submit=500-accepted": ("ok", "", 1, 1),
    "submit=reset": ("ok", "", 2, 1),
    "submit=reset-accepted": ("ok", "", 1, 1),
    "submit=garbage-accepted": ("ok", "", 1, 1),
    "submit=400": ("failed", "no such size", 1, 0),
    "submit=moderation": ("refused", "moderation", 1, 0),
    "poll=429": ("ok", "", 1, 1),
    "poll=500*2": ("ok", "", 1, 1),
    "poll=503": ("ok", "", 1, 1),
    "poll=reset*2": ("ok", "", 1, 1),
    "poll=unknown*3": ("ok", "", 1, 1),
    "poll=never": ("failed", "deadline", 1, 1),
    "poll=lost": ("failed", "lost on the server", 1, 1),
    "poll=failed": ("failed", "server_error sorry", 1, 1),
    "poll=moderation": ("refused", "moderation_blocked", 1, 1),
    "download=500": ("ok", "", 1, 1),
    "download=reset": ("ok", "", 1, 1),
    "download=cut*2": ("ok", "", 1, 1),
    "download=html": ("ok", "", 1, 1),
    "download=garbage": ("ok", "", 1, 1),
    "download=403*2": ("ok", "", 1, 1),
    "download=html*99": ("failed", "text/html instead of a video", 1, 1),
    "download=403*99": ("failed", "could not be fetched: HTTP 403", 1, 1),
}


def test_every_fault_has_its_outcome_and_no_sample_two_jobs(
    base: str, world: World, cli: Cli, tmp_path: Path
) -> None:
    texts = [f"a ball, number {i} [{fault}]" for i, fault in enumerate(FAULTS)]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    made = arguments(base, prompts, tmp_path, "-o", "deadline=4", "-o", "concurrency=8")
    assert cli(*made).code == 4
    found = samples(tmp_path / "run")
    for i, (fault, (status, message, submits, accepted)) in enumerate(FAULTS.items()):
        row = found[f"p-{i}"]
        assert row["status"] == status and message in row.get("message", ""), (fault, row)
        assert world.submits[texts[i], "0"] == submits, fault
        assert world.accepted[texts[i], "0"] == accepted, fault
        if status == "ok":
            video = (tmp_path / "run" / row["video"]).read_bytes()
            assert video == world.video(texts[i], "0") and row["job_id"].startswith("video_")
            assert row["details"]["model"] == "tiny" and row["details"]["inference_time_s"] == 1.5
    # Started again: what never ended and what could not be fetched is asked for again, not paid again.
    again = cli(*made)
    assert again.code == 4
    after = samples(tmp_path / "run")
    for i, fault in enumerate(FAULTS):
        assert world.accepted[texts[i], "0"] <= 1, fault
        if found[f"p-{i}"]["status"] in ("ok", "refused"):
            assert after[f"p-{i}"] == found[f"p-{i}"]
    assert not list((tmp_path / "run").rglob("*.partial*"))


def test_a_server_without_a_list_leaves_the_outcome_unknown(
    base: str, world: World, cli: Cli, tmp_path: Path
) -> None:
    world.lists = False
    texts = ["a ball [submit=reset-accepted]", "another ball [submit=500]", "a third ball"]
    made = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)
    assert cli(*made).code == 4
    found = samples(tmp_path / "run")
    for i in (0, 1):
        assert found[f"p-{i}"]["status"] == "failed"
        assert "submit outcome unknown" in found[f"p-{i}"]["message"]
        assert world.submits[texts[i], "0"] == 1
    assert found["p-2"]["status"] == "ok"
    cli(*made)  # not transient: nobody may pay twice without being asked
    assert world.submits[texts[0], "0"] == 1
    assert cli(*made, "--retry", "all").code == 0
    assert world.accepted[texts[0], "0"] == 2  # the user's own decision


def test_two_seeds_are_told_apart_and_what_cannot_be_is_not_guessed(
    base: str, world: World, cli: Cli, tmp_path: Path
) -> None:
    text = "a ball [submit=reset-accepted]"
    prompts = write_prompts(tmp_path / "p.yaml", [text])
    assert cli(*arguments(base, prompts, tmp_path, "--seeds", "3")).code == 0
    assert [world.accepted[text, str(s)] for s in range(3)] == [1, 1, 1]
    world.echoes = False  # the list says neither prompt nor seed
    other = write_prompts(tmp_path / "q.yaml", ["a cube [submit=reset-accepted]"])
    found = cli(*arguments(base, other, tmp_path / "other"))
    assert found.code == 4
    row = samples(tmp_path / "other" / "run")["p-0"]
    assert "submit outcome unknown" in row["message"]


def test_keys_come_from_the_environment_and_go_nowhere_else(
    base: str, world: World, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-very-secret-123"
    world.key = secret
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball", "a cube [submit=400]"])
    wrong = cli(*arguments(base, prompts, tmp_path / "wrong"))
    assert wrong.code == 4 and "401" in samples(tmp_path / "wrong" / "run")["p-0"]["message"]
    missing = cli(*arguments(base, prompts, tmp_path / "missing", "-o", "key_env=MY_VIDEO_KEY"))
    assert missing.code == 2 and "MY_VIDEO_KEY" in missing.err
    monkeypatch.setenv("MY_VIDEO_KEY", secret)
    found = cli(*arguments(base, prompts, tmp_path / "right", "-o", "key_env=MY_VIDEO_KEY", "-v"))
    assert samples(tmp_path / "right" / "run")["p-0"]["status"] == "ok"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in found.out + found.err
    secretive = "openai-videos:m@http://user:pass@127.0.0.1:1/v1"
    refused = cli("generate", "--generator", secretive, "--prompts", prompts, "--out", tmp_path / "x")
    assert refused.code == 2 and "pass" not in refused.err


def test_a_spending_cap_holds_over_restarts(base: str, world: World, cli: Cli, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", [f"ball {i}" for i in range(6)])
    dry = cli(*arguments(base, prompts, tmp_path / "a", "-o", "price=0.5", "--dry-run"))
    assert re.search(r"^cost +3\.0$", dry.out, re.M) and not world.seen
    priced = arguments(base, prompts, tmp_path / "a", "-o", "price=0.5", "--max-cost", "1.6")
    for _ in range(2):
        assert cli(*priced).code == 4
        rows = samples(tmp_path / "a" / "run").values()
        assert sum(r["status"] == "ok" for r in rows) == 3 and sum(world.accepted.values()) == 3
        assert all("spending cap" in r["message"] for r in rows if r["status"] != "ok")
    assert cli(*arguments(base, prompts, tmp_path / "a", "-o", "price=0.5", "--max-cost", "9")).code == 0
    assert sum(world.accepted.values()) == 6
    world.cost, before = 0.25, 6
    told = arguments(base, prompts, tmp_path / "b", "--max-cost", "1.1", "-o", "concurrency=6")
    assert cli(*told).code == 4
    assert sum(world.accepted.values()) - before == 4  # the first one's cost was learnt, then four fit
    rows = samples(tmp_path / "b" / "run").values()
    assert [r["cost"] for r in rows if r["status"] == "ok"] == [0.25] * 4
    world.cost, before = None, sum(world.accepted.values())
    silent = cli(*arguments(base, prompts, tmp_path / "c", "--max-cost", "5"))
    assert silent.code == 4 and sum(world.accepted.values()) - before == 1
    reasons = [r.get("message", "") for r in samples(tmp_path / "c" / "run").values()]
    assert any("reports no cost" in reason for reason in reasons)


def test_submits_keep_to_a_rate_and_jobs_run_side_by_side(
    base: str, world: World, cli: Cli, tmp_path: Path
) -> None:
    world.polls = 10
    prompts = write_prompts(tmp_path / "p.yaml", [f"ball {i}" for i in range(4)])
    started = time.monotonic()
    assert cli(*arguments(base, prompts, tmp_path, "-o", "rpm=300", "-o", "concurrency=4")).code == 0
    assert time.monotonic() - started > 3 * 60 / 300
    order = [path for method, path, _ in world.seen]
    assert order.index("/v1/videos/video_0/content") > [m for m, *_ in world.seen].index("POST") + 4


def test_ctrl_c_leaves_jobs_open_and_the_next_start_goes_on(base: str, world: World, tmp_path: Path) -> None:
    world.polls = 200
    prompts = write_prompts(tmp_path / "p.yaml", [f"ball {i}" for i in range(3)])
    made = arguments(base, prompts, tmp_path)
    process = start(*made)
    while sum(world.accepted.values()) < 3:
        time.sleep(0.05)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - started < 10
    world.polls = 1
    assert call(*made).code == 0
    assert list(world.accepted.values()) == [1, 1, 1]


def test_what_ended_and_was_not_recorded_is_told_and_not_paid_again(
    base: str, world: World, cli: Cli, tmp_path: Path
) -> None:
    """Killed between the journal of jobs and that of samples."""
    world.lists = False
    texts = ["a ball [poll=failed]", "a cube [submit=reset-accepted]", "a cat [poll=moderation]", "a dog"]
    made = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)
    assert cli(*made).code == 4
    journal = tmp_path / "run" / "samples/main.jsonl"
    before = samples(tmp_path / "run")
    journal.write_text("")
    assert cli(*made).code == 4
    after = samples(tmp_path / "run")
    assert set(world.accepted.values()) == {1}
    for prompt_id, row in before.items():
        same = ("status", "reason", "message", "job_id", "sha256")
        assert [row.get(k) for k in same] == [after[prompt_id].get(k) for k in same]
    assert cli(*made, "--retry", "all").code == 0  # the user's own decision: each may be made once more
    assert max(world.accepted.values()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "org/tiny-v1"}, "another model"),
        ({"size": "832x464"}, "another size"),
        ({"created_at": 1}, "unknown"),
    ],
)
def test_a_job_that_may_be_another_is_neither_taken_nor_paid_again(
    base: str, world: World, cli: Cli, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    text = "a ball [submit=reset-accepted]"
    world.change = change
    made = arguments(base, write_prompts(tmp_path / "p.yaml", [text]), tmp_path, "--size", "832x480")
    found = cli(*made)
    row = samples(tmp_path / "run")["p-0"]
    if "created_at" in change:  # older than the submit: not ours, and none of ours is there
        assert found.code == 0 and world.submits[text, "0"] == 2
    else:
        assert message in row["message"] and world.submits[text, "0"] == 1


def test_half_characters_and_odd_costs_from_a_server(
    base: str, world: World, cli: Cli, tmp_path: Path
) -> None:
    world.error_message = "half an emoji \ud83d"
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball [poll=failed]", "a cube"])
    world.cost = float("nan")
    assert cli(*arguments(base, prompts, tmp_path)).code == 4
    rows = samples(tmp_path / "run")
    assert "half an emoji ?" in rows["p-0"]["message"] and rows["p-1"]["status"] == "ok"
    assert rows["p-1"].get("cost") is None and max(world.accepted.values()) == 1


def test_words_of_the_prompt_are_no_refusal(base: str, world: World, cli: Cli, tmp_path: Path) -> None:
    world.echo_input = True
    texts = ["a safety vest [submit=429]", "a sensitive plant [submit=400]", "a knife [submit=moderation]"]
    assert cli(*arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)).code == 4
    rows = samples(tmp_path / "run")
    assert [rows[f"p-{i}"]["status"] for i in range(3)] == ["ok", "failed", "refused"]


def test_the_cap_counts_what_may_have_been_taken(base: str, world: World, cli: Cli, tmp_path: Path) -> None:
    world.lists = False
    texts = [f"ball {i} [submit=reset-accepted]" for i in range(6)]
    made = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path, "-o", "price=0.5")
    assert cli(*made, "--max-cost", "1.0").code == 4
    assert sum(world.accepted.values()) == 2


def finish(made: tuple[object, ...], limit: int = 40) -> Result:
    """Start until nothing is left open."""
    found = call(*made)
    for _ in range(limit):
        if found.code != 130:
            return found
        found = call(*made)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("jobs", "kills"), [(30, 3), pytest.param(200, 10, marks=pytest.mark.nightly)])
def test_jobs_killed_at_many_moments_are_paid_once(jobs: int, kills: int, tmp_path: Path) -> None:
    rng = random.Random(4)
    # What ends a job stays true for whoever asks again: a kill may come between the answer and its record.
    kinds = [k if FAULTS[k][0] == "ok" else f"{k}*99" for k in FAULTS if "*9" not in k and k != "poll=never"]
    texts = [f"a ball, number {i} [{rng.choice(kinds)}]" for i in range(jobs)]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    whole, broken = World(tmp_path / "s1"), World(tmp_path / "s2")
    with serve(whole) as base:
        assert call(*arguments(base, prompts, tmp_path / "whole", "-o", "concurrency=16")).code == 4
    expected = samples(tmp_path / "whole" / "run")
    with serve(broken) as base:
        made = arguments(base, prompts, tmp_path / "broken", "-o", "concurrency=16")
        killed = 0
        for _ in range(40):
            process = start(*made)
            journal = tmp_path / "broken" / "run" / "jobs/main.jsonl"
            size = journal.stat().st_size if journal.exists() else 0
            # Not before it works: from the first new line of the journal on, after a moment of its own.
            while process.poll() is None and (journal.stat().st_size if journal.exists() else 0) == size:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.6))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.communicate()
            if killed == kills:
                break
        assert killed == kills
        assert finish(made).code == 4
    found = samples(tmp_path / "broken" / "run")
    assert max(broken.accepted.values()) == 1
    assert found.keys() == expected.keys()
    for prompt_id, row in expected.items():
        other = found[prompt_id]
        if "submit outcome unknown" in other.get("message", ""):
            continue
        same = ("status", "sha256", "reason", "message")
        assert [row.get(k) for k in same] == [other.get(k) for k in same], (row, other)
    lost = [r for r in found.values() if "submit outcome unknown" in r.get("message", "")]
    assert not lost  # this server lists jobs, so every cut submit was found again
