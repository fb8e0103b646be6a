"""What a second attack found of paid jobs and programs: lost answers, stops, what outlives its run."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from evals.errors import UsageError
from evals.remote.client import Client, key_from
from evals.remote.wire import NotSent, Wire
from tests.conftest import Cli, start
from tests.helpers import written
from tests.test_compare import made, of, said, values  # noqa: F401 - a fixture
from tests.test_jobs import arguments, samples, write_prompts
from tests.test_survival import gone
from tests.videoserver import Handler, World, serve

# What anyio leaves of a connection that is cancelled while it is being made warns when it is collected.
HALF_OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Late(Handler):
    """Its list dates jobs ten seconds earlier than its answers' clock: a gateway before a database."""

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**super().shown(job), "created_at": job["created_at"] - 10}


class Endless(Handler):
    """Lists oldest first, two a page, whatever it is asked for, and says that there is more."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0].rstrip("/") != "/v1/videos":
            return super().do_GET()
        after = dict(p.partition("=")[::2] for p in self.path.partition("?")[2].split("&")).get("after")
        first = int(str(after).partition("_")[2]) + 1 if after and after.startswith("old") else 0
        jobs = [
            {"id": f"old_{i}", "prompt": "x", "seed": "0", "created_at": i} for i in range(first, first + 2)
        ]
        return self.send(200, {"object": "list", "data": jobs, "has_more": True})


@pytest.mark.slow
@pytest.mark.parametrize("handler", [Late, Endless])
def test_a_lost_answer_is_never_paid_twice(cli: Cli, tmp_path: Path, handler: type[Handler]) -> None:
    with serve(world := World(tmp_path / "server"), handler) as base:
        texts = [f"ball {i} [submit=reset-accepted]" for i in range(2)]
        cli(*arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path))
        assert list(world.accepted.values()) == [1, 1]


def test_a_paid_video_that_was_cut_is_fetched_though_its_sample_is_lost(cli: Cli, tmp_path: Path) -> None:
    with serve(world := World(tmp_path / "server")) as base:
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", ["a ball"]), tmp_path)
        assert cli(*made_by).code == 0
        [video] = (tmp_path / "run" / "videos").rglob("*.mp4")
        (tmp_path / "run" / "samples/main.jsonl").unlink()
        video.write_bytes(b"")
        assert cli(*made_by).code == 0
        assert samples(tmp_path / "run")["p-0"]["status"] == "ok" and list(world.accepted.values()) == [1]


class SlowSubmit(Handler):
    def do_POST(self) -> None:
        self.world.stuck = True
        time.sleep(2)
        super().do_POST()


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 8])
def test_ctrl_c_loses_no_submit_that_was_sent(tmp_path: Path, concurrency: int) -> None:
    with serve(world := World(tmp_path / "server", lists=False), SlowSubmit) as base:
        texts = [f"ball {i}" for i in range(12)]
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)
        process = start(*made_by, "-o", f"concurrency={concurrency}")
        while not world.stuck:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        events = [
            json.loads(x)["event"] for x in (tmp_path / "run" / "jobs/main.jsonl").read_text().splitlines()
        ]
        assert events.count("accepted") == sum(world.accepted.values()) >= 1
        assert "unknown" not in events and events.count("intent") == events.count("accepted") + events.count(
            "rejected"
        )


def test_a_key_that_no_header_can_hold_is_refused_before_anything_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in ("schlüssel-123456", "two words here", "line\nend-of-it"):
        monkeypatch.setenv("SOME_API_KEY", key)
        with pytest.raises(UsageError, match="SOME_API_KEY") as refused:
            key_from("SOME_API_KEY", "", needed=True)
        assert key not in str(refused.value)


@HALF_OPEN
def test_a_request_that_was_never_sent_says_so() -> None:
    """Nobody answers at this address: the time runs out before a byte is sent."""
    wire = Wire(0.5)
    wire.stop()
    with pytest.raises(NotSent):
        wire.exchange(httpx.Request("POST", "http://127.0.0.1:9/x"))
    wire.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and no handshake
        started = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            wire.exchange(httpx.Request("POST", f"https://127.0.0.1:{silent.getsockname()[1]}/x"))
        assert time.monotonic() - started < 5
    wire.close()
    gc.collect()


@pytest.mark.slow
@HALF_OPEN
def test_closing_while_requests_run_leaves_nobody_waiting(tmp_path: Path) -> None:
    with serve(World(tmp_path / "server")) as base:
        client = Client(base, "", timeout=5.0)
        stop = threading.Event()
        odd: list[BaseException] = []

        def ask() -> None:
            while not stop.is_set():
                try:
                    client.get(f"{base}/videos")
                except Exception as error:  # noqa: BLE001 - which one it is, is the question
                    if type(error).__name__ != "Trouble":
                        odd.append(error)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            time.sleep(0.03)
            client.close()
        stop.set()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert not odd, odd[:3]
        client.close()
    gc.collect()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("end", ["time", "term"])
def test_what_makes_a_process_group_of_its_own_ends_too(cli: Cli, tmp_path: Path, end: str) -> None:
    if shutil.which("timeout") is None:
        pytest.skip("timeout is not installed")
    mark = tmp_path / "mark"
    script = tmp_path / "mk.sh"
    script.write_text(f"timeout 177 bash -c 'echo $$ > {mark}; sleep 175'\n")
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball"])
    base = ("generate", "--generator", f"command:bash {script} {{prompt}} {{out}}", "--prompts", prompts,
            "--out", tmp_path, "--name", "r", "-o", f"time_limit={8 if end == 'time' else 100}")  # fmt: skip
    process = start(*base)
    pid = int(written(mark, process))
    if end == "term":
        process.terminate()
    process.communicate(timeout=60)
    assert gone([pid], 10)
