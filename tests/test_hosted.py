"""OpenRouter, and Runway and fal through their own SDKs, against a loopback server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.test_jobs import QUICK, samples, write_prompts
from tests.videoserver import Handler, World, serve

SECRET = "key-0123456789-secret"


class OpenRouterHandler(Handler):
    """`/api/v1/videos`; signed results lie on another server, which must never see the key."""

    elsewhere = ""

    def do_POST(self) -> None:
        form = self.form()
        if not self.allowed():
            return None
        world, prompt, seed = self.world, form["prompt"], form.get("seed", "0")
        world.submits[prompt, seed] += 1
        fault = world.fault("submit", prompt, seed)
        if fault == "moderation":
            return self.error(400, "flagged by moderation")
        if fault == "429":
            return self.error(429, "slow down")
        world.accepted[prompt, seed] += 1
        number = f"gen-{len(world.jobs)}"
        world.jobs[number] = {**form, "prompt": prompt, "seed": seed, "asked": 0}
        place = f"/v1/videos/{number}"
        return self.send(202, {"id": number, "polling_url": place, "status": "pending"})

    def do_GET(self) -> None:
        if not self.allowed():
            return None
        number = self.path.rpartition("/")[2]
        job = self.world.jobs[number]
        fault = self.world.fault("poll", job["prompt"], job["seed"])
        if fault in ("failed", "expired", "cancelled"):
            return self.send(200, {"status": fault, "error": "sorry", "usage": {"cost": 0.1}})
        if fault == "500":
            return self.error(500, "out of order")
        job["asked"] += 1
        if job["asked"] < 2:
            return self.send(200, {"status": "in_progress"})
        urls = {"urls": [f"{self.elsewhere}/{number}.mp4?signature=abc"]}
        return self.send(200, {"status": "completed", "model": "v-2026", "usage": {"cost": 0.4}, **urls})


class Elsewhere(Handler):
    """Where signed results lie."""

    def do_GET(self) -> None:
        self.world.seen.append((self.command, self.path, dict(self.headers)))
        number = self.path.partition("?")[0].strip("/").removeprefix("v1/").removesuffix(".mp4")
        job = self.world.jobs[number]
        if self.world.fault("download", job["prompt"], job["seed"]) == "403":
            return self.error(403, "expired")
        return self.send(200, self.world.video(job["prompt"], job["seed"]), "video/mp4")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[World, World, str]]:
    """The server of results, with the jobs of the API's; and its address."""
    world, results = World(tmp_path / "server"), World(tmp_path / "results")
    results.jobs = world.jobs
    with serve(results, Elsewhere) as address:
        yield world, results, address


def test_openrouter(
    two: tuple[World, World, str], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, results, address = two
    world.key = SECRET
    monkeypatch.setenv("OPENROUTER_API_KEY", SECRET)
    monkeypatch.setattr(OpenRouterHandler, "elsewhere", address)
    faults = [
        "",
        "submit=moderation",
        "submit=429",
        "poll=failed",
        "poll=500",
        "poll=expired",
        "download=403",
    ]
    texts = [f"ball {i} [{fault}]" for i, fault in enumerate(faults)]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    with serve(world, OpenRouterHandler) as base:
        found = cli(
            "generate", "--generator", "openrouter:some/model", "-o", f"base={base}", "-o", "duration=4",
            "--size", "832x480", "--prompts", prompts, "--out", tmp_path, "--name", "run", *QUICK,
        )  # fmt: skip
    assert found.code == 4
    rows = samples(tmp_path / "run")
    outcomes = [rows[f"p-{i}"]["status"] for i in range(len(texts))]
    assert outcomes == ["ok", "refused", "ok", "failed", "ok", "failed", "ok"]
    assert rows["p-0"]["cost"] == 0.4 and rows["p-0"]["details"]["model"] == "v-2026"
    assert rows["p-3"]["cost"] == 0.1
    assert max(world.accepted.values()) == 1
    sent = world.jobs[rows["p-0"]["job_id"]]
    assert (sent["resolution"], sent["aspect_ratio"], sent["duration"]) == ("480p", "26:15", "4.0")
    assert results.seen and all("Authorization" not in headers for *_, headers in results.seen)
    for path in tmp_path.rglob("*.json*"):
        text = path.read_text(errors="replace")
        assert SECRET not in text and "signature=abc" not in text


class RunwayHandler(Handler):
    """`/v1/text_to_video` and `/v1/tasks/{id}`."""

    elsewhere = ""

    def do_POST(self) -> None:
        form = self.form()
        if not self.allowed():
            return None
        assert self.headers["X-Runway-Version"] and form["model"] == "gen4.5"
        world, prompt, seed = self.world, form["promptText"], form.get("seed", "0")
        world.submits[prompt, seed] += 1
        fault = world.fault("submit", prompt, seed)
        if fault == "429":
            return self.error(429, "slow down", Retry_After="0.01")
        if fault == "500":
            return self.error(500, "out of order")
        if fault == "reset":
            return self.reset()
        world.accepted[prompt, seed] += 1
        number = f"task-{len(world.jobs)}"
        world.jobs[number] = {**form, "prompt": prompt, "seed": seed, "asked": 0}
        return self.send(200, {"id": number})

    def do_GET(self) -> None:
        if not self.allowed():
            return None
        number = self.path.rpartition("/")[2]
        job: dict[str, Any] = self.world.jobs[number]
        fault = self.world.fault("poll", job["prompt"], job["seed"])
        base = {"id": number, "createdAt": "2026-11-23T10:00:00Z"}
        if fault == "503":
            return self.error(503, "out of order")
        if fault == "lost":
            return self.error(404, "no such task")
        if fault in ("safety", "failed"):
            code = "SAFETY.INPUT.TEXT" if fault == "safety" else "INTERNAL.BAD_OUTPUT.CODE01"
            failed = {"status": "FAILED", "failure": "sorry", "failureCode": code, "cost": {"credits": 0}}
            return self.send(200, {**base, **failed})
        job["asked"] += 1
        states = ["PENDING", "THROTTLED", "RUNNING"]
        if job["asked"] <= len(states):
            return self.send(200, {**base, "status": states[job["asked"] - 1], "progress": 0.5})
        output = [f"{self.elsewhere}/{number}.mp4?signature=abc"]
        return self.send(200, {**base, "status": "SUCCEEDED", "output": output, "cost": {"credits": 25}})


def test_runway_through_its_sdk(
    two: tuple[World, World, str], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("runwayml", reason="the extra `runway` is not installed")
    world, results, address = two
    world.key = SECRET
    monkeypatch.setattr(RunwayHandler, "elsewhere", address)
    bad = ["submit=429", "submit=500", "submit=reset", "poll=503", "poll=lost", "poll=safety", "poll=failed"]
    faults = ["", *bad, "download=403"]
    texts = [f"ball {i} [{fault}]" for i, fault in enumerate(faults)]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    with serve(world, RunwayHandler) as base:
        made = ("generate", "--generator", "runway:gen4.5", "-o", f"base={base.removesuffix('/v1')}",
                "--prompts", prompts, "--out", tmp_path, "--name", "run", *QUICK)  # fmt: skip
        missing = cli(*made)
        assert missing.code == 2 and "RUNWAYML_API_SECRET" in missing.err
        monkeypatch.setenv("RUNWAYML_API_SECRET", SECRET)
        assert cli(*made).code == 4
        rows = samples(tmp_path / "run")
        cli(*made)
    outcomes = [rows[f"p-{i}"]["status"] for i in range(len(texts))]
    assert outcomes == ["ok", "ok", "failed", "failed", "ok", "failed", "refused", "failed", "ok"]
    for i in (2, 3):  # the SDK must not have repeated the submit
        assert "submit outcome unknown" in rows[f"p-{i}"]["message"]
        assert world.submits[texts[i], "0"] == 1
    assert world.submits[texts[1], "0"] == 2 and max(world.accepted.values()) == 1
    assert "lost" in rows["p-5"]["message"] and "SAFETY" in rows["p-6"]["message"]
    assert rows["p-0"]["cost"] == 25.0
    assert results.seen and all("Authorization" not in headers for *_, headers in results.seen)
    assert not any(SECRET in path.read_text(errors="replace") for path in (tmp_path / "run").glob("*.json*"))


class FalHandler(Handler):
    """fal's queue."""

    elsewhere, foreign = "", False

    def allowed(self) -> bool:
        self.world.seen.append((self.command, self.path, dict(self.headers)))
        if self.headers.get("Authorization") != f"Key {SECRET}":
            self.send(401, {"detail": "wrong key"})
            return False
        return True

    def do_POST(self) -> None:
        form = self.form()
        if not self.allowed():
            return None
        world, prompt, seed = self.world, form["prompt"], form.get("seed", "0")
        world.submits[prompt, seed] += 1
        fault = world.fault("submit", prompt, seed)
        if fault == "422":
            return self.send(422, {"detail": [{"type": "content_policy_violation", "msg": "no"}]})
        if fault == "500":
            return self.send(500, {"detail": "out of order"})
        world.accepted[prompt, seed] += 1
        number = f"req{len(world.jobs)}"
        world.jobs[number] = {**form, "prompt": prompt, "seed": seed, "asked": 0}
        host = self.elsewhere if self.foreign else f"http://{self.headers['Host']}"
        place = f"{host}/v1/app/requests/{number}"
        return self.send(200, {"request_id": number, "response_url": place, "status_url": f"{place}/status",
                               "cancel_url": f"{place}/cancel"})  # fmt: skip

    def do_GET(self) -> None:
        if not self.allowed():
            return None
        parts = self.path.partition("?")[0].split("/")
        job = self.world.jobs[parts[parts.index("requests") + 1]]
        number = parts[parts.index("requests") + 1]
        if parts[-1] == "status":
            job["asked"] += 1
            state = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"][min(job["asked"] - 1, 2)]
            return self.send(200, {"status": state, "queue_position": 0, "logs": None, "metrics": {}})
        fault = self.world.fault("result", job["prompt"], job["seed"])
        if fault == "422":
            return self.send(422, {"detail": [{"type": "content_policy_violation", "msg": "flagged"}]})
        if fault == "error":
            return self.send(200, {"error": "the runner broke"})
        return self.send(200, {"video": {"url": f"{self.elsewhere}/{number}.mp4?signature=abc"}})


def test_fal_through_its_sdk(
    two: tuple[World, World, str], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fal_client", reason="the extra `fal` is not installed")
    world, results, address = two
    monkeypatch.setenv("FAL_KEY", SECRET)
    monkeypatch.setattr(FalHandler, "elsewhere", address)
    faults = ["", "submit=422", "submit=500", "result=422", "result=error", "download=403"]
    texts = [f"ball {i} [{fault}]" for i, fault in enumerate(faults)]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    with serve(world, FalHandler) as base:
        made = ("generate", "--generator", "fal:app", "-o", f"base={base}", "-o", "aspect_ratio=16:9",
                "-o", "deadline=30", "--out", tmp_path, *QUICK)  # fmt: skip
        assert cli(*made, "--prompts", prompts, "--name", "run").code == 4
        rows = samples(tmp_path / "run")
        monkeypatch.setattr(FalHandler, "foreign", True)
        seen = len(results.seen)
        other = write_prompts(tmp_path / "q.yaml", ["a stray ball"])
        hasty = [a if a != "deadline=30" else "deadline=1" for a in made]
        assert cli(*hasty, "--prompts", other, "--name", "foreign").code == 4
        assert "another origin" in samples(tmp_path / "foreign")["p-0"]["message"]
        assert len(results.seen) == seen
    outcomes = [rows[f"p-{i}"]["status"] for i in range(len(texts))]
    assert outcomes == ["ok", "refused", "failed", "refused", "failed", "ok"]
    assert "submit outcome unknown" in rows["p-2"]["message"] and world.submits[texts[2], "0"] == 1
    assert max(world.accepted.values()) == 1
    assert world.jobs[rows["p-0"]["job_id"]]["aspect_ratio"] == "16:9"
    assert results.seen and all("Authorization" not in headers for *_, headers in results.seen)
