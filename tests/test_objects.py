"""Object stores: moto's S3 server on loopback through s3fs, `memory://` and `file://`, with faults."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evals.errors import StoreError, UsageError
from evals.remote import objects
from evals.remote.objects import Place, download, mirrored, upload
from evals.runs.folder import RunFolder
from tests.conftest import ROOT, Cli, MakeClips, call
from tests.test_run import scores

FAST = "temporal_flicker,sharpness"
HAS = {name: importlib.util.find_spec(name) is not None for name in ("moto", "s3fs")}


class Faulty(BaseHTTPRequestHandler):
    """Passes requests on to the store, but for those that `world` says fail."""

    protocol_version = "HTTP/1.1"
    port = 0
    failing: dict[str, int]  # status by the end of a path; -1 cuts the connection
    left: list[int]  # how many faults there still are
    seen: list[str]

    def _pass(self) -> None:
        body = self._body()
        self.seen.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        for ending, status in self.failing.items():
            if self.command == "PUT" and path.endswith(ending) and self.left[0] > 0:
                self.left[0] -= 1
                if status < 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._answer(status, [], b"<Error><Code>InternalError</Code></Error>")
                return
        store = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            kept = {k: v for k, v in self.headers.items() if k.lower() not in ("expect", "transfer-encoding")}
            store.request(self.command, self.path, body, kept)
            answer = store.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
        finally:
            store.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        sizes = [value for name, value in headers if name.lower() == "content-length"]
        size = sizes[0] if sizes and self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", size)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Faulty]]:
    """A bucket `bucket` on moto's server, behind a proxy that can fail."""
    if not all(HAS.values()):
        pytest.skip("moto or s3fs is not installed")
    code = (
        "from moto.server import ThreadedMotoServer\n"
        "import sys\n"
        "s = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n"
        "s.start()\n"
        "print(s.get_host_and_port()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    assert server.stdout is not None and server.stdin is not None
    port = int(server.stdout.readline())

    class Here(Faulty):
        failing: dict[str, int] = {}
        left = [0]
        seen: list[str] = []

    Here.port = port
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    make = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
    urllib.request.urlopen(make, timeout=30).close()
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # it would remember the endpoint of another test
    try:
        yield Here
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
        server.stdin.close()
        server.wait(30)
        server.stdout.close()


def run_of_three(clips: MakeClips, cli: Cli, tmp_path: Path) -> Path:
    done = cli("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 3, "--size", "64x48",
               "--frames", 6, "--metrics", FAST, "--out", tmp_path, "--name", "r")  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path / "r"


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in objects._files(folder)}


@pytest.mark.slow
def test_a_run_goes_to_s3_and_back_through_faults(
    s3: type[Faulty], clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    run = run_of_three(clips, cli, tmp_path)
    before = contents(run)
    url = "s3://bucket/runs/r"

    s3.failing, s3.left = {"scores/main.jsonl": 500}, [10_000]  # a put that fails every time
    done = call("copy", run, url)
    assert done.code == 2 and "scores/main.jsonl" in done.err and "goes on from there" in done.err, done.err
    assert "very-secret-key" not in done.err and contents(run) == before
    assert not [line for line in s3.seen if line.startswith("PUT") and "run.json" in line]
    back = call("copy", url, tmp_path / "early")
    assert back.code == 2 and "not copied to its end" in back.err, back.err

    s3.failing, s3.left = {"scores/main.jsonl": -1}, [2]  # two lost connections, then it works
    s3.seen.clear()
    done = call("copy", run, url)
    assert done.code == 0, done.err
    puts = [line for line in s3.seen if line.startswith("PUT") and "/runs/r/" in line]
    assert puts[-1].endswith("run.json") or "run.json?" in puts[-1]
    assert not [line for line in puts if ".mp4" in line]  # what had arrived is not sent again
    s3.seen.clear()
    assert "1 files copied" in call("copy", run, url).out  # run.json alone

    back = call("copy", url, tmp_path / "back")
    assert back.code == 0 and "3 of 3 samples ok" in back.out, back.err
    assert contents(tmp_path / "back") == before
    assert scores(tmp_path / "back") == scores(run)
    done = call("score", tmp_path / "back", "--metrics", FAST + ",colorfulness")
    assert done.code == 0, done.err
    done = call("copy", "s3://nobody/r", tmp_path / "none")
    assert done.code == 2 and "error: s3://nobody/r" in done.err and "Traceback" not in done.err, done.err


@pytest.mark.slow
def test_clips_are_read_from_s3(s3: type[Faulty], clips: MakeClips, tmp_path: Path) -> None:
    folder = clips("a").write(3).folder
    upload(folder, Place.at("s3://bucket/clips/a"), "videos.jsonl", tmp_path / "note")
    env = {**os.environ, "T2V_EVALS_OBJECTS": str(tmp_path / "cache")}
    run = ("run", "--generator", "folder:s3://bucket/clips/a", "--out", tmp_path, "--metrics", FAST)
    done = _call(*run, env=env)
    assert done.returncode == 0 and "3 of 3 samples ok" in done.stdout, done.stderr
    info = RunFolder(tmp_path / "a").info
    assert info.label == "folder:a" and info.generator.params["path"] == "s3://bucket/clips/a"
    s3.seen.clear()
    assert _call(*run, env=env).returncode == 0
    assert not [line for line in s3.seen if ".mkv" in line]  # nothing is fetched twice
    upload(clips("a").write(4).folder, Place.at("s3://bucket/clips/a"), "videos.jsonl", tmp_path / "note")
    assert "4 of 4 samples ok" in _call(*run, env=env).stdout


def _call(*arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run_eval.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)


def test_memory_and_file_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "a.txt").write_text("one")
    (source / "deep" / "er" / "b.txt").write_text("two")
    (source / ".hidden").write_text("no")
    (source / "last.json").write_text("{}")
    for url in ("memory://box/x", f"file://{tmp_path}/store/x"):
        place, note = Place.at(url), tmp_path / "note.json"
        note.unlink(missing_ok=True)
        assert upload(source, place, "last.json", note) == 3
        assert set(place.files()) == {"a.txt", "deep/er/b.txt", "last.json"}
        assert upload(source, place, "last.json", note) == 1
        (source / "a.txt").write_text("another")
        assert upload(source, place, "last.json", note) == 2
        target = tmp_path / f"target-{place.system.protocol[0]}"
        target.mkdir()
        assert download(place, target, "last.json", target / ".note") == 3
        assert contents(target) == contents(source)
        (target / "a.txt").unlink()
        assert download(place, target, "last.json", target / ".note") == 2
        assert contents(target) == contents(source)
        monkeypatch.setenv("T2V_EVALS_OBJECTS", str(tmp_path / "cache"))
        assert contents(mirrored(url)) == contents(source)
        place.system.rm(f"{place.root}/a.txt")
        assert "a.txt" not in contents(mirrored(url))
        (source / "a.txt").write_text("one")


def test_a_failed_put_is_tried_again_and_then_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "Pacing", lambda pause: _Hurried())
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).write_text(name)
    place = Place.at("memory://faulty/x")
    put, fails = place.system.put_file, {"b": 3}

    def put_file(path: str, there: str) -> None:
        name = there.rpartition("/")[2]
        if fails.get(name, 0) > 0:
            fails[name] -= 1
            raise OSError("planted")
        put(path, there)

    monkeypatch.setattr(place.system, "put_file", put_file)
    assert upload(source, place, "c", tmp_path / "note") == 3
    (source / "b").write_text("changed")
    (source / "a").write_text("changed, too")
    fails["b"] = 100
    with pytest.raises(StoreError, match="faulty/x/b: planted; what has arrived stays"):
        upload(source, place, "c", tmp_path / "note")
    assert "c" not in place.files()  # a copy with the last one would be taken for whole
    assert "b" in json.loads((tmp_path / "note").read_text())
    fails["b"] = 0
    upload(source, place, "c", tmp_path / "note")
    assert place.system.cat_file(f"{place.root}/b") == b"changed"


class _Hurried:
    def wait(self, seconds: float) -> None:
        return

    def before(self, attempt: int, after: float | None) -> float:
        return 0.0


def test_what_is_wrong_is_said(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    run = run_of_three(clips, cli, tmp_path)
    done = cli("copy", run, tmp_path / "x")
    assert done.code == 2 and "one of FROM and TO is a URL" in done.err
    done = cli("copy", tmp_path / "none", "memory://x/y")
    assert done.code == 2 and "no such folder" in done.err
    assert cli("copy", run, "memory://box/r").code == 0
    done = cli("copy", "memory://box/r", run)
    assert done.code == 2 and "holds other files" in done.err, done.err
    assert cli("copy", "memory://box/r", tmp_path / "back").code == 0
    shutil.rmtree(tmp_path / "back")
    with pytest.raises(UsageError, match="nobody"):
        Place.at("nobody://x/y")
    with pytest.raises(UsageError, match="holds no files"):
        mirrored("memory://empty/place")


def test_nothing_newer_is_overwritten_and_runs_do_not_mix(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    run, url = run_of_three(clips, cli, tmp_path), f"file://{tmp_path}/store/r"
    assert cli("copy", run, url).code == 0
    back = tmp_path / "back"
    assert cli("copy", url, back).code == 0
    assert cli("score", back, "--metrics", "colorfulness").code == 0
    grown = contents(back)
    done = cli("copy", url, back)
    assert done.code == 2 and "holds what" in done.err, done.err
    assert contents(back) == grown
    assert cli("copy", back, url).code == 0
    done = cli("copy", run, url)
    assert done.code == 2 and "choose another place" in done.err, done.err
    assert contents(tmp_path / "store" / "r") == grown
    other = tmp_path / "other"
    done = cli("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 1, "--size", "64x48",
               "--frames", 6, "--metrics", FAST, "--out", other, "--name", "r")  # fmt: skip
    assert done.code == 0, done.err
    done = cli("copy", other / "r", url)
    assert done.code == 2 and "holds another run" in done.err, done.err
    assert contents(tmp_path / "store" / "r") == grown


def test_a_store_cannot_plant_hidden_files_or_secrets(tmp_path: Path) -> None:
    place = Place.at("memory://planted/x")
    for name in ("a", ".lock", ".hidden/b", "deep/.c"):
        place.system.pipe_file(f"{place.root}/{name}", b"x")
    assert set(place.files()) == {"a"}
    for url in ("ftp://bob:topsecret@host/x", "s3://bucket/x?X-Amz-Signature=abc"):
        with pytest.raises(UsageError, match="in the environment") as caught:
            Place.at(url)
        assert "topsecret" not in str(caught.value) and "abc" not in str(caught.value)


def test_three_processes_mirror_one_place(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for number in range(40):
        (store / f"{number}.bin").write_bytes(bytes([number]) * 50_000)
    code = f"from evals.remote.objects import mirrored; print(mirrored('file://{store}'))"
    env = {**os.environ, "T2V_EVALS_OBJECTS": str(tmp_path / "cache")}
    every = [subprocess.Popen([sys.executable, "-c", code], env=env, cwd=ROOT, text=True,
                              stdout=subprocess.PIPE) for _ in range(3)]  # fmt: skip
    places = {process.communicate(timeout=120)[0].strip() for process in every}
    assert [process.returncode for process in every] == [0, 0, 0] and len(places) == 1
    assert contents(Path(places.pop())) == contents(store)


def test_journals_that_both_sides_wrote_are_refused(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """Also one that only the other side has; and a copy that was stopped goes on."""
    done = cli("generate", "--generator", "simulated:clean", "--prompts", "parks", "--limit", 3, "--size",
               "64x48", "--frames", 6, "--out", tmp_path, "--name", "r")  # fmt: skip
    assert done.code == 0, done.err
    run, url, back = tmp_path / "r", f"file://{tmp_path}/store/r", tmp_path / "back"
    assert cli("copy", run, url).code == 0 and cli("copy", url, back).code == 0
    assert cli("score", back, "--metrics", "sharpness").code == 0
    assert "holds what" in cli("copy", url, back).err  # scores that the store does not have
    assert cli("copy", back, url).code == 0
    assert "holds what" in cli("copy", run, url).err
    assert cli("score", run, "--metrics", "colorfulness").code == 0
    store = contents(tmp_path / "store" / "r")
    assert "holds what" in cli("copy", run, url).err  # both have scores, and neither has the other's
    assert contents(tmp_path / "store" / "r") == store
    (tmp_path / "store" / "r" / "run.json").unlink()  # as a copy that was stopped leaves it
    assert cli("copy", back, url).code == 0 and contents(tmp_path / "store" / "r") == contents(back)
    (tmp_path / "store" / "r" / "run.json").write_text("[]")
    done = cli("copy", back, url)
    assert done.code == 2 and "holds another run" in done.err, done.err


def test_what_a_merge_removed_is_removed_elsewhere(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder, url = clips("a").write(2).folder, f"file://{tmp_path}/store/a"
    for number in (1, 2):
        base = ("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", FAST)
        assert cli(*base, "--shard", f"{number}/2").code == 0
    assert cli("copy", tmp_path / "a", url).code == 0 and cli("copy", url, tmp_path / "b").code == 0
    assert cli("merge", tmp_path / "a").code == 0
    assert cli("copy", tmp_path / "a", url).code == 0 and cli("copy", url, tmp_path / "b").code == 0
    assert contents(tmp_path / "b") == contents(tmp_path / "a") == contents(tmp_path / "store" / "a")
    assert RunFolder(tmp_path / "b").info == RunFolder(tmp_path / "a").info
