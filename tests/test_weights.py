"""Weight files: fetched from a loopback server with faults, checked before they count, found offline."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from evals.encoders import published as weights
from evals.encoders.fetching import fetch
from evals.encoders.published import WeightFile, locate
from evals.errors import UnknownName, WeightsError
from tests.conftest import Cli, MakeClips

DATA = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


class Server(ThreadingHTTPServer):
    """Serves DATA with a fault: `cut` after so many bytes, another `status`, other `data`, no `ranges`."""

    cut: int | None = None
    status = 200
    data = DATA
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers["Range"])
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = 0
        if self.headers["Range"] and self.server.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        body = self.server.data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.server.cut is None else body[: self.server.cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{one.server_address[1]}/net.pt"
        net = WeightFile("net", "net.pt", url, len(DATA), hashlib.sha256(DATA).hexdigest(), "MIT", "tests")
        monkeypatch.setattr(weights, "WEIGHTS", {"net": net})
        monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "weights"))
        yield one
        one.shutdown()
        thread.join()


def test_fetched_once_and_found_offline(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="`t2v-evals weights fetch net`"):
        locate("net")
    told: list[tuple[int, int]] = []
    path = fetch("net", lambda done, size: told.append((done, size)))
    assert path.read_bytes() == DATA and told[-1] == (len(DATA), len(DATA))
    assert fetch("net") == locate("net") == path == tmp_path / "weights" / "net.pt"
    assert server.asked == [None] and [p.name for p in path.parent.iterdir()] == ["net.pt"]


def test_a_download_that_breaks_off_goes_on(server: Server) -> None:
    server.cut = 100_000
    for part in (1, 2):
        with pytest.raises(WeightsError, match="the same command goes on"):
            fetch("net")
        assert (weights.folder() / "net.pt.partial").stat().st_size == part * 100_000
    server.cut = None
    assert fetch("net").read_bytes() == DATA
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_begins_anew(server: Server) -> None:
    server.cut = 1000
    with pytest.raises(WeightsError):
        fetch("net")
    server.cut, server.ranges = None, False
    assert fetch("net").read_bytes() == DATA


@pytest.mark.parametrize("wrong", [DATA[:-1] + bytes([DATA[-1] ^ 1]), DATA + b"more"])
def test_another_file_never_gets_the_name(server: Server, wrong: bytes) -> None:
    server.data = wrong
    with pytest.raises(WeightsError, match=r"another file|sends more"):
        fetch("net")
    assert not (weights.folder() / "net.pt").exists()
    server.data = DATA
    (weights.folder() / "net.pt.partial").unlink(missing_ok=True)
    assert fetch("net").read_bytes() == DATA


@pytest.mark.parametrize("status", [404, 500, 503])
def test_what_the_server_says_is_said(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(WeightsError, match=f"HTTP {status}"):
        fetch("net")


def test_a_file_put_there_by_hand_is_checked(server: Server, cli: Cli, tmp_path: Path) -> None:
    weights.folder().mkdir()
    place = weights.folder() / "net.pt"
    place.write_bytes(DATA)
    assert locate("net") == place and "has the right SHA-256" in cli("weights", "verify").out
    assert re.search(r"^net +here", cli("weights", "list").out)
    flipped = bytearray(DATA)
    flipped[1000] ^= 4
    place.write_bytes(flipped)
    with pytest.raises(WeightsError, match=r"SHA-256 is .* it was not opened"):
        locate("net")
    assert cli("weights", "verify").code == 2
    other = tmp_path / "short.pt"
    other.write_bytes(DATA[:10])
    with pytest.raises(WeightsError, match="has 10 bytes"):
        locate("net", other)
    place.unlink()
    assert cli("weights", "fetch", "net").code == 0 and server.asked == [None]
    with pytest.raises(UnknownName, match="did you mean 'net'"):
        fetch("nets")


def test_a_suites_weights_are_fetched_by_the_suites_name(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from evals.encoders import fetching, hub
    from evals.encoders.hub import HubModel

    asked: list[str] = []

    def of_hub(model: HubModel) -> Path:
        asked.append(model.name)
        return Path("hub")

    def of_table(name: str, progress: object) -> Path:
        asked.append(name)
        return Path("file")

    monkeypatch.setattr(hub, "fetch", of_hub)
    monkeypatch.setattr(fetching, "fetch", of_table)
    done = cli("weights", "fetch", "standard")
    assert done.code == 0, done.err
    assert sorted(asked) == ["ViT-B-32-quickgelu/openai", "dino", "i3d", "raft-small"]
    asked.clear()
    assert cli("weights", "fetch", "quick").code == 0 and asked == []


def test_a_hub_model_is_pinned_to_the_commit_of_its_first_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    from evals.encoders.hub import HUB_MODELS, cached, pins
    from evals.encoders.hub import fetch as fetch_model

    asked: list[tuple[str | None, bool]] = []
    commit = tmp_path / "hub" / "0123abcd"

    def snapshot(repo: str, revision: str | None = None, local_files_only: bool = False, **_: object) -> str:
        asked.append((revision, local_files_only))
        commit.mkdir(parents=True, exist_ok=True)
        (commit / "model.safetensors").touch()
        return str(commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "weights"))
    model = HUB_MODELS["dino"]
    assert fetch_model(model) == commit and pins() == {model.repo: "0123abcd"}
    assert fetch_model(model) == commit and cached(model) == commit
    assert asked == [(None, False), ("0123abcd", False), ("0123abcd", True)]


def test_scoring_downloads_nothing(
    clips: MakeClips, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("scoring opened a connection")

    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setattr(socket.socket, "connect", refused)
    folder = clips("a").write(1).folder
    for name in ("subject_consistency[dino]", "clip_similarity[ViT-L-14-quickgelu/openai]", "fvd[i3d]"):
        done = cli("run", "--generator", f"folder:{folder}", "--out", tmp_path / "r", "--metrics", name)
        assert done.code == 2 and "t2v-evals weights fetch" in done.err, done.err
