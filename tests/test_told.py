"""What others are told: no key, no formula, no markup, no folder of this machine, no control character; and
servers that send too slowly or too much."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import tracemalloc
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evals.cli.output import shown
from evals.compare import compare_scores, load_runs
from evals.compare.results import without_folders
from evals.decoding.pool import DecoderJob, Pool
from evals.errors import UsageError
from evals.remote.client import Client
from evals.remote.outcomes import Trouble, Unknown
from evals.remote.wire import MOST_BODY
from evals.report import write_report
from evals.report.markdown import escaped
from evals.report.page import MARK
from evals.runs import secrets
from evals.video import encode
from tests.conftest import Cli, MakeClips, ball, call, run_of, start
from tests.helpers import written
from tests.test_compare import made, values  # noqa: F401 - a fixture
from tests.test_jobs import arguments, samples, write_prompts
from tests.videoserver import Handler, World, serve

KEY = "sk-very-secret-0123456789"


# --- keys ---


class Echo(Handler):
    """Puts the key that it was sent into everything it answers."""

    def told(self) -> str:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**super().shown(job), "model": f"model of {self.told()}", "size": self.told()}

    def error(self, code: int, message: str, name: str = "error", **headers: str) -> None:
        super().error(code, f"{message}: your key is {self.told()}", name, **headers)

    def state(self, job: dict[str, Any], prompt: str, seed: str) -> None:
        self.world.error_message = f"no luck with {self.told()}"
        super().state(job, prompt, seed)


class EchoId(Echo):
    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**super().shown(job), "id": f"job-{self.told()}"}


@pytest.mark.slow
@pytest.mark.parametrize("handler", [Echo, EchoId])
def test_a_server_that_echoes_the_key_gets_it_nowhere(tmp_path: Path, handler: type[Handler]) -> None:
    with serve(World(tmp_path / "server", key=KEY), handler) as base:
        texts = ["a ball", "a cube [submit=400]", "a cat [poll=failed]", "a dog [download=500*9]"]
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)
        before = os.environ.get("OPENAI_VIDEOS_API_KEY")
        os.environ["OPENAI_VIDEOS_API_KEY"] = KEY
        try:
            done = call(*made_by, "-v", "-o", "deadline=10")
            told = done.out + done.err + call("show", tmp_path / "run", "--json").out
        finally:
            os.environ.pop("OPENAI_VIDEOS_API_KEY")
            if before is not None:
                os.environ["OPENAI_VIDEOS_API_KEY"] = before
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            told += path.read_bytes().decode(errors="replace")
    assert KEY not in told and (secrets.HIDDEN in told or handler is EchoId)


def test_keys_are_kept_out_of_whatever_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.remember("a key with/odd characters")
    secrets.remember("short")  # would be found in every other word
    text = "x a key with/odd characters y a%20key%20with%2Fodd%20characters, shortly"
    assert secrets.redacted({"a": [text]}) == {"a": ["x [key] y [key], shortly"]}
    assert secrets.redacted(1.5) == 1.5


def test_what_is_printed_or_raised_holds_no_key(cli: Cli, tmp_path: Path) -> None:
    secrets.remember("another-secret-key-1")
    done = cli("show", tmp_path / "another-secret-key-1")
    assert done.code == 2 and "another-secret-key-1" not in done.err and "[key]" in done.err


def test_decoders_do_not_inherit_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "RUNWAYML_API_SECRET", "FAL_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(name, f"secret of {name}")
    monkeypatch.setenv("MY_VARIABLE", "kept")
    seen = tmp_path / "seen.json"
    plugin = tmp_path / "look.py"
    plugin.write_text(f"import os, json\njson.dump(dict(os.environ), open({str(seen)!r}, 'w'))\n")
    encode(tmp_path / "x.mkv", ball(3), 8, "ffv1")
    with Pool(1, plugins=[plugin]) as pool:
        pool.ask(DecoderJob(tmp_path / "x.mkv", "probe"))
    environment = json.loads(seen.read_text())
    assert environment["MY_VARIABLE"] == "kept" and "secret of" not in json.dumps(environment)


# --- servers that send too slowly or too much ---


class Slow(Handler):
    """Sends what it has a byte at a time, where the path or the world says so."""

    stage = "headers"

    def do_GET(self) -> None:
        self._drip()

    def do_POST(self) -> None:
        self.form()
        self._drip()

    def _drip(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
        try:
            self.connection.sendall(head[:10] if self.stage == "headers" else head)
            for _ in range(400):
                self.connection.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        self.close_connection = True


class SlowBody(Slow):
    stage = "body"


@pytest.mark.slow
@pytest.mark.parametrize("handler", [Slow, SlowBody])
@pytest.mark.parametrize("what", ["submit", "poll", "download"])
def test_a_request_ends_at_its_deadline_whatever_drips_in(
    tmp_path: Path, handler: type[Handler], what: str
) -> None:
    with serve(World(tmp_path / "server"), handler) as base:
        client = Client(base, "", timeout=1.0)
        started = time.monotonic()
        with pytest.raises(Unknown if what == "submit" else Trouble):
            if what == "submit":
                client.submit(f"{base}/videos", json={})
            elif what == "poll":
                client.get(f"{base}/videos/1")
            else:
                client.fetch(f"{base}/videos/1/content", tmp_path / "x.mp4", 1.0)
        assert time.monotonic() - started < 5
        client.close()


@pytest.mark.slow
def test_one_ctrl_c_is_enough(tmp_path: Path) -> None:
    """A server drips its answers; the run is stopped once and ends."""
    with serve(World(tmp_path / "server"), Slow) as base:
        prompts = write_prompts(tmp_path / "p.yaml", ["a ball", "a cube"])
        process = start(*arguments(base, prompts, tmp_path))
        written(tmp_path / "run" / "run.json", process)
        time.sleep(1.5)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130 and time.monotonic() - started < 20


@cache
def bomb() -> bytes:
    """Half a megabyte that unpacks to 512."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packing.compress(b" " * (1 << 20)) for _ in range(512)), packing.flush()])


class Large(Handler):
    """Answers with more than anybody can hold."""

    coding = "gzip"

    def do_GET(self) -> None:
        self._flood(200)

    def do_POST(self) -> None:
        self.form()
        self._flood(500 if self.path.endswith("error") else 200)

    def _flood(self, code: int) -> None:
        packed = bomb() if self.coding == "gzip" else b" " * (1 << 20)
        try:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            if self.coding == "gzip":
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            for _ in range(1 if self.coding == "gzip" else 256):
                self.wfile.write(packed)
        except OSError:
            pass
        self.close_connection = True


class LargePlain(Large):
    coding = ""


@pytest.mark.slow
@pytest.mark.parametrize("handler", [Large, LargePlain])
def test_a_flood_is_cut_off(tmp_path: Path, handler: type[Handler]) -> None:
    with serve(World(tmp_path / "server"), handler) as base:
        client = Client(base, "", timeout=30.0)
        assert len(bomb()) < 1 << 20
        tracemalloc.start()
        for path in ("videos", "error"):
            with pytest.raises(Unknown):
                client.submit(f"{base}/{path}", json={})
        with pytest.raises(Trouble):
            client.get(f"{base}/videos/1")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        client.close()
    assert peak < 6 * MOST_BODY  # the server in this process holds some of it, too


class Boasts(Handler):
    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**super().shown(job), "model": "m" * 2_000_000}


def test_fields_from_a_server_are_cut(cli: Cli, tmp_path: Path) -> None:
    with serve(World(tmp_path / "server"), Boasts) as base:
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", ["a ball"]), tmp_path)
        assert cli(*made_by).code == 0
    assert len(samples(tmp_path / "run")["p-0"]["details"]["model"]) < 10_000
    assert (tmp_path / "run" / "jobs/main.jsonl").stat().st_size < 100_000


@pytest.mark.slow
def test_a_slow_submit_holds_up_nobody_else(cli: Cli, tmp_path: Path) -> None:
    class Stuck(Handler):
        def do_POST(self) -> None:
            first = self.world.submits.total() == 0
            if first:
                with self.world.lock:
                    self.world.submits["stuck", ""] += 1
                self.form()
                self.world.stuck = True
                time.sleep(8)
                self.world.stuck = False
                self.reset()
                return
            super().do_POST()

    with serve(world := World(tmp_path / "server", lists=False), Stuck) as base:
        texts = [f"ball {i}" for i in range(4)]
        made_by = arguments(base, write_prompts(tmp_path / "p.yaml", texts), tmp_path)
        process = start(*made_by, "-o", "concurrency=4")
        started = time.monotonic()
        while sum(world.accepted.values()) < 3 and time.monotonic() - started < 30:
            time.sleep(0.02)
        assert world.stuck, "the others were accepted after the slow one ended"
        process.communicate(timeout=60)


# --- tables, pages, terminals ---

EVIL = '=HYPERLINK("http://x","y")'


def test_no_cell_is_a_formula(made: Any, tmp_path: Path) -> None:  # noqa: F811
    run = made("-1+1", values(0.0, n=30))
    other = made("@SUM(A1)", values(0.0, n=30, seed=1))
    write_report(compare_scores(load_runs([run, other])), tmp_path / "r")
    for path in (tmp_path / "r").glob("*.csv"):
        for cell in re.findall(r'"((?:[^"]|"")*)"', path.read_text()):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (path.name, cell)
    assert "'@SUM(A1)" in (tmp_path / "r" / "means.csv").read_text()
    numbers = (tmp_path / "r" / "scores.csv").read_text()
    assert re.search(r",-\d", numbers)  # numbers stay numbers


@pytest.mark.parametrize(
    "text",
    [
        "[click](http://evil.example)", "![x](http://evil.example/x.png)", "<img src=x onerror=alert(1)>",
        "@everyone", "`code`", "**bold** __bold__ _it_", "# heading", "a | b", "www.evil.example", "~~gone~~",
        "[x] done", "[a]: http://evil.example", "[a][b]",
    ],
)  # fmt: skip
def test_names_are_no_markup_in_the_summary(text: str) -> None:
    markdown = pytest.importorskip("markdown_it")
    parser = markdown.MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    rendered = parser.render(f"- {escaped(text)}")
    inside = re.sub(r"</?(ul|li|p)>\n?", "", rendered).strip()
    assert "<" not in inside, rendered
    assert "@" not in escaped(text) and "://" not in escaped(text) and "www." not in escaped(text)


def test_metric_names_stay_readable() -> None:
    assert escaped("warping_error[dis]") == "warping_error[dis]" and escaped("3 × 4 (95 %)") == "3 × 4 (95 %)"


def test_the_page_may_do_nothing_but_its_own(scored: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("compare", scored, "--out", tmp_path / "r").code == 0
    page = (tmp_path / "r" / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and MARK in page
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1] and "script-src" in policy[1] and " style=" not in page
    assert policy[1].count("sha256-") == 3  # the chart library, the viewer, the styles
    assert "http" not in policy[1] and "data:" not in policy[1]


@pytest.mark.slow
def test_no_folder_of_this_machine_is_told(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    (folder / "1-0.mkv").write_bytes(b"no video")
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from evals import FRAME_EXTRACTORS, METRICS, About, FrameExtractor, Need, Spec, Value, VideoMetric\n"
        "@METRICS.register('mine')\nclass M(VideoMetric):\n"
        "    spec, about, needs = Spec(name='m'), About('none'), (Need('frames', 'difference'),)\n"
        "    def score(self, clip): raise ValueError(f'{__file__}: cannot, see /etc/secret/place.txt')\n"
    )
    base = run_of(folder, tmp_path / "runs", "--plugin", plugin, "--metrics", "mine,temporal_flicker")
    assert call(*base).code == 4
    assert cli("compare", tmp_path / "runs" / "a", "--out", tmp_path / "r").code == 0
    for path in (p for p in (tmp_path / "r").rglob("*") if p.is_file()):
        text = path.read_bytes().decode("latin-1")
        assert str(tmp_path) not in text and "/etc/secret" not in text, path.name
    assert "place.txt" in (tmp_path / "r" / "index.html").read_text()


def test_folders_are_left_out_and_nothing_else() -> None:
    assert without_folders("/home/jo/runs/a/x.mp4: gone (see /tmp/y/log.txt)") == "x.mp4: gone (see log.txt)"
    for text in ("5 of 8 and/or 3/4", "http://host/a/b", "a +/- 0.1", "fps=8,seconds=2", "ViT-B-32/openai"):
        assert without_folders(text) == text


def test_no_control_character_reaches_a_terminal(cli: Cli, tmp_path: Path, clips: MakeClips) -> None:
    assert shown("a\x1b]52;c;aGk=\x07b\tc\nd\r\ne\x9b") == "a\\x1b]52;c;aGk=\\x07b\tc\nd\ne\\x9b"
    evil = "disc\x1b]52;c;ZXZpbA==\x07 red"
    made_clips = clips("a").write(1)
    (made_clips.folder / "0-0.mkv").write_bytes(b"")
    rows = made_clips.rows()
    rows[0].update(prompt=evil, category=f"x{evil}")
    made_clips.manifest(rows)
    base = run_of(made_clips.folder, tmp_path, "--metrics", "temporal_flicker")
    outputs = [cli(*base), cli("show", tmp_path / "a"), cli("show", tmp_path / "a", "--json"),
               cli("compare", tmp_path / "a", "--out", tmp_path / "r"),
               cli("compare", tmp_path / "a", "--out", tmp_path / "r", "--json")]  # fmt: skip
    for done in outputs:
        assert "\x1b" not in done.out + done.err and "\x07" not in done.out + done.err
    assert "\x1b" not in (tmp_path / "r" / "summary.md").read_text()
    with pytest.raises(UsageError):
        raise UsageError("x")


def test_a_closed_stderr_is_no_fault(scored: Path) -> None:
    command = f"exec {os.sys.executable} run_eval.py show {scored} 2>&-"  # type: ignore[attr-defined]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and "generator" in done.stdout
