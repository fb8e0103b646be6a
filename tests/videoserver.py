"""A loopback server of the `/v1/videos` protocol that fails on demand: a prompt says how.

`… [submit=429*2 poll=reset download=cut]`: two submits are answered with 429, then the first poll's and the
first download's connection breaks. Counts are by (prompt, seed), so they go on over restarts of the client.
`python -m tests.videoserver PORT` serves until Ctrl-C, to try a client by hand.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from evals.video import encode
from tests.conftest import ball


def faults_of(prompt: str) -> dict[str, list[str]]:
    """By stage what is to go wrong, first to last."""
    found: dict[str, list[str]] = {}
    match = re.search(r"\[([^\]]*)\]", prompt)
    for part in match[1].split() if match else []:
        stage, _, what = part.partition("=")
        name, _, times = what.partition("*")
        found.setdefault(stage, []).extend([name] * int(times or 1))
    return found


@dataclass
class World:
    """What the server knows; `accepted` counts jobs by (prompt, seed)."""

    folder: Path
    lists: bool = True
    echoes: bool = True
    key: str = ""
    polls: int = 1  # that find a job waiting before it is done
    cost: float | None = None
    change: dict[str, Any] = field(default_factory=dict)  # fields that the list says differently
    error_message: str = "sorry"
    echo_input: bool = False
    stuck: bool = False  # in a submit that takes long
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    submits: Counter[tuple[str, str]] = field(default_factory=Counter)
    met: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, path, headers
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, stage: str, prompt: str, seed: str) -> str:
        """The next thing to go wrong, or nothing. `never` and `lost` stay."""
        planned = faults_of(prompt).get(stage, [])
        with self.lock:
            n = self.met[stage, prompt, seed]
            if n >= len(planned):
                return ""
            if planned[n] not in ("never", "lost"):
                self.met[stage, prompt, seed] += 1
            return planned[n]

    def video(self, prompt: str, seed: str) -> bytes:
        """A small video of its own for every prompt and seed."""
        number = sum(prompt.encode()) * 31 + int(seed or 0)
        path = self.folder / f"{number}.mp4"
        with self.lock:
            if not path.exists():
                encode(path, list(ball(4, (32, 48), seed=number % 1000)), 8)
        return path.read_bytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_: object) -> None:
        pass

    def send(self, code: int, data: Any, kind: str = "application/json", **headers: str) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def error(self, code: int, message: str, name: str = "error", **headers: str) -> None:
        echo = {"input": self.prompt} if self.world.echo_input else {}
        self.send(code, {"error": {"code": name, "message": message, **echo}}, **headers)

    prompt = ""

    def reset(self) -> None:
        """Break the connection without an answer."""
        self.close_connection = True
        self.connection.shutdown(2)

    def form(self) -> dict[str, str]:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("application/json"):
            return {k: str(v) for k, v in json.loads(raw).items()}
        message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw)
        found = {}
        for part in message.get_payload():
            assert not isinstance(part, str)
            name = part.get_param("name", header="content-disposition")
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found[str(name)] = payload.decode()
        return found

    def allowed(self) -> bool:
        self.world.seen.append((self.command, self.path, dict(self.headers)))
        if self.world.key and self.headers.get("Authorization") != f"Bearer {self.world.key}":
            self.error(401, "wrong key")
            return False
        return True

    def do_POST(self) -> None:
        form = self.form()
        if not self.allowed():
            return None
        world, prompt, seed = self.world, form.get("prompt", ""), form.get("seed", "0")
        self.prompt = prompt
        with world.lock:
            world.submits[prompt, seed] += 1
        fault = world.fault("submit", prompt, seed)
        if fault == "429":
            return self.error(429, "slow down")
        if fault == "429-after":
            return self.error(429, "slow down", Retry_After="0.05")
        if fault in ("500", "503"):
            return self.error(int(fault), "out of order")
        if fault == "400":
            return self.error(400, "no such size")
        if fault == "moderation":
            return self.error(400, "blocked by our moderation system", "moderation_blocked")
        if fault == "reset":
            return self.reset()
        with world.lock:
            world.accepted[prompt, seed] += 1
            number = f"video_{len(world.jobs)}"
            world.jobs[number] = {
                "id": number, "object": "video", "model": form.get("model", "m"), "status": "queued",
                "progress": 0, "created_at": int(time.time()), "size": form.get("size", "720x1280"),
                "seconds": form.get("seconds", "4"), "prompt": prompt, "seed": seed, "asked": 0,
            }  # fmt: skip
        if fault == "500-accepted":
            return self.error(500, "out of order")
        if fault == "reset-accepted":
            return self.reset()
        if fault == "garbage-accepted":
            return self.send(200, b"<html>", "text/html")
        return self.send(200, self.shown(world.jobs[number]))

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        hidden = {"asked"} | (set() if self.world.echoes else {"prompt", "seed"})
        return {k: v for k, v in job.items() if k not in hidden}

    def do_GET(self) -> None:
        if not self.allowed():
            return None
        world, parts = self.world, urlsplit(self.path)
        path = parts.path.removeprefix("/v1/videos").strip("/").split("/")
        if path == [""]:
            if not world.lists:
                return self.error(404, "no such route")
            query = parse_qs(parts.query)
            jobs = sorted(world.jobs.values(), key=lambda j: -int(j["id"].partition("_")[2]))
            if after := query.get("after"):
                jobs = jobs[[j["id"] for j in jobs].index(after[0]) + 1 :]
            limit = int(query.get("limit", ["20"])[0])
            shown = [self.shown(j) | world.change for j in jobs[:limit]]
            return self.send(200, {"object": "list", "data": shown, "has_more": len(jobs) > limit})
        job = world.jobs.get(path[0])
        if job is None:
            return self.error(404, "no such video")
        prompt, seed = job["prompt"], job["seed"]
        return self.content(job, prompt, seed) if path[1:] == ["content"] else self.state(job, prompt, seed)

    def state(self, job: dict[str, Any], prompt: str, seed: str) -> None:
        fault = self.world.fault("poll", prompt, seed)
        if fault in ("429", "500", "503"):
            return self.error(int(fault), "out of order")
        if fault == "reset":
            return self.reset()
        if fault == "lost":
            return self.error(404, "no such video")
        if fault == "never":
            return self.send(200, {**self.shown(job), "status": "in_progress"})
        if fault == "unknown":
            return self.send(200, {**self.shown(job), "status": "dreaming"})
        if fault in ("failed", "moderation"):
            code = "moderation_blocked" if fault == "moderation" else "server_error"
            error = {"code": code, "message": self.world.error_message}
            return self.send(200, {**self.shown(job), "status": "failed", "error": error})
        job["asked"] += 1
        job["status"] = "completed" if job["asked"] > self.world.polls else "in_progress"
        shown = self.shown(job)
        if job["status"] == "completed" and self.world.cost is not None:
            shown["usage"] = {"cost": self.world.cost}
        return self.send(200, {**shown, "inference_time_s": 1.5, "peak_memory_mb": 10.0})

    def content(self, job: dict[str, Any], prompt: str, seed: str) -> None:
        video = self.world.video(prompt, seed)
        fault = self.world.fault("download", prompt, seed)
        if fault in ("429", "500", "503", "403"):
            return self.error(int(fault), "not now")
        if fault == "reset":
            return self.reset()
        if fault == "html":
            return self.send(200, b"<html>sorry</html>", "text/html")
        if fault == "garbage":
            return self.send(200, b"\0" * 1000, "video/mp4")
        if fault == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(len(video)))
            self.end_headers()
            self.wfile.write(video[: len(video) // 2])
            return self.reset()
        return self.send(200, video, "video/mp4")


@contextmanager
def serve(world: World, handler: type[Handler] = Handler, port: int = 0) -> Iterator[str]:
    """The server's address, on loopback, while the context lasts."""
    world.folder.mkdir(parents=True, exist_ok=True)
    bound = type("Bound", (handler,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", port), bound)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as scratch, serve(World(Path(scratch)), port=int(sys.argv[1])) as at:
        print(f"serving {at}", flush=True)
        threading.Event().wait()
