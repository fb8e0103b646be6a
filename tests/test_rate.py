"""The page for blind votes, served and driven in a browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import httpx
import pytest
import yaml

from evals.ratings.study import StudyFolder
from tests.browser import browser
from tests.conftest import Cli, start
from tests.judgeserver import write_discs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title="owned"</script> </p> & "quotes"'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def runs(cli: Cli, tmp_path: Path) -> list[Path]:
    """Two runs of short clips, told apart by their names alone."""
    places = []
    for name in ("model-alpha", "model-beta"):
        step = 2.0 if name == "model-alpha" else 4.0
        prompts = write_discs(tmp_path / name, step=step, frames=6, fps=12)
        found = yaml.safe_load(prompts.read_text())
        found["prompts"][0]["text"] = HOSTILE
        prompts.write_text(yaml.safe_dump(found))
        manifest = tmp_path / name / "videos.jsonl"
        rows = [json.loads(line) for line in manifest.read_text().splitlines()]
        rows[0]["prompt"] = HOSTILE
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = cli("generate", "--generator", f"folder:{tmp_path / name}", "--prompts", prompts,
                   "--out", tmp_path / "runs", "--name", name)  # fmt: skip
        assert done.code == 0, done.err
        places.append(tmp_path / "runs" / name)
    return places


@contextmanager
def served(runs: list[Path], out: Path, *options: object) -> Iterator[tuple[dict[str, str], Any]]:
    """Links by rater, and the process."""
    process = start("rate", *runs, "--out", out, "--json", *options)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        links = json.loads(line)["links"]
        _wait(links)
        yield links, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def _wait(links: dict[str, str]) -> None:
    for _ in range(200):
        try:
            if httpx.get(next(iter(links.values()))).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the page does not answer")


def trial(link: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{link}trial").json()
    return found


def send(link: str, **ballot: Any) -> httpx.Response:
    return httpx.post(f"{link}vote", json=ballot)


def test_nothing_that_is_served_tells_whose_a_clip_is(runs: list[Path], tmp_path: Path) -> None:
    with served(runs, tmp_path / "study", "--raters", "ann,bob") as (links, _):
        seen: list[str] = []
        clips: dict[str, bytes] = {}
        for link in links.values():
            for name in ("", "rate.js", "rate.css"):
                answer = httpx.get(link + name)
                seen.append(f"{answer.headers} {answer.text}")
            while (found := trial(link))["trial"] is not None:
                seen.append(json.dumps(found))
                for side in ("left", "right"):
                    answer = httpx.get(f"{link}clip/{found[side]}")
                    assert answer.status_code == 200
                    seen.append(str({k: v for k, v in answer.headers.items() if k != "date"}))
                    assert found[side] not in clips  # no name is used twice
                    clips[found[side]] = answer.content
                assert send(link, trial=found["trial"], choice="left", seconds=1).status_code == 200
        told = "".join(seen)
        assert "alpha" not in told and "beta" not in told and "model" not in told.replace("module", "")
        study = StudyFolder(tmp_path / "study")
        for pair in study.study.pairs:
            assert pair.sha256_a not in told and pair.sha256_b not in told and pair.id not in told
        assert set(re.findall(r"last-modified': '([^']*)'", told)) == {"Thu, 01 Jan 1970 00:00:00 GMT"} | (
            set(re.findall(r"last-modified': '([^']*)'", "".join(seen[:3] + seen[3:6])))
        )
        metadata = set()
        for number, content in enumerate(clips.values()):
            place = tmp_path / f"{number}.mp4"
            place.write_bytes(content)
            assert b"alpha" not in content and b"beta" not in content
            with av.open(str(place)) as container:
                stream = container.streams.video[0]
                metadata.add(
                    (str(container.metadata), stream.codec_context.name, stream.width, stream.height)
                )
        assert len(metadata) == 1  # all encoded alike


def test_it_answers_on_loopback_with_a_token_and_nothing_else(runs: list[Path], tmp_path: Path) -> None:
    with served(runs, tmp_path / "study") as (links, process):
        link = links["rater-1"]
        base, _, token = link.rstrip("/").rpartition("/r/")
        port = int(base.rpartition(":")[2])
        listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, check=False).stdout
        mine = [line for line in listening.splitlines() if f":{port} " in line]
        assert not mine or all(f"127.0.0.1:{port}" in line for line in mine)
        for path in ("/", "/r/", "/r/wrong/", f"/r/{token[:-1]}/", "/docs", "/openapi.json", "/rate.js",
                     f"/r/{token}/study.json", f"/r/{token}/../../study.json", f"/r/{token}/clip/x.mp4",
                     f"/r/{token}/clip/..%2f..%2fstudy.mp4"):  # fmt: skip
            assert httpx.get(base + path).status_code == 404, path
        assert httpx.get(link, headers={"Host": "evil.example"}).status_code == 400
        page = httpx.get(link)
        assert (
            page.headers["cache-control"] == "no-store"
            and "default-src 'none'" in page.headers["content-security-policy"]
        )
        found = trial(link)
        clip = httpx.get(f"{link}clip/{found['left']}", headers={"Range": "bytes=0-99"})
        assert clip.status_code == 206 and len(clip.content) == 100
        open_ = {"trial": found["trial"], "choice": "left"}
        for body in (
            {"trial": "x", "choice": "left"}, {**open_, "choice": "up"}, {"trial": found["trial"]},
            {**open_, "seconds": -1}, {**open_, "rater": "bob"},
        ):  # fmt: skip
            assert httpx.post(f"{link}vote", json=body).status_code in (400, 409), body
        assert (
            httpx.post(
                f"{link}vote", content=b"x" * 20_000, headers={"Content-Type": "application/json"}
            ).status_code
            == 413
        )
        assert httpx.post(f"{link}vote", data={"trial": "x"}).status_code == 415
        assert not (tmp_path / "study" / "votes.jsonl").read_bytes()
        assert process.poll() is None
    assert (tmp_path / "study" / "study.json").stat().st_mode & 0o077 == 0


OVER = "That was all. Thank you."


def over(page: Page) -> bool:
    """Whether there is nothing more, once that is known: a page that is loading shows no pair either."""
    page.wait_for_selector(f"[data-choice=left]:not([disabled]), #prompt:text-is('{OVER}')", state="attached")
    return page.locator("#prompt").inner_text() == OVER


def votes(page: Page, count: int, keys: list[str]) -> int:
    """Vote so often by keyboard, or until there is nothing more; gives how often."""
    for number in range(count):
        if over(page):
            return number
        before = page.evaluate("document.getElementById('left').src")
        page.keyboard.press(keys[number % len(keys)])
        try:
            page.wait_for_function(
                "(b) => document.getElementById('left').src !== b || document.getElementById('pair').hidden",
                arg=before, timeout=10_000,
            )  # fmt: skip
        except Exception as error:
            state = page.evaluate(
                "[document.getElementById('said').textContent, document.activeElement.outerHTML,"
                " [...document.querySelectorAll('button')].map((b) => b.disabled).join()]"
            )
            raise AssertionError(f"vote {number} was not taken: {state}") from error
    return count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "killed"), [(1, 4), pytest.param(11, 60, marks=pytest.mark.nightly)]
)  # fmt: skip
def test_two_raters_vote_through_a_kill(
    chromium: Browser, cli: Cli, tmp_path: Path, seeds: int, killed: int
) -> None:
    """Eight pairs for each of two raters, or 88, with checks and repeats between: 200 votes and more."""
    pairs = 8 * seeds
    runs = []
    for name in ("alpha", "beta"):
        folder = tmp_path / name
        prompts = write_discs(folder, step=2.0 if name == "alpha" else 4.0, frames=3, fps=30)
        rows = [json.loads(line) for line in (folder / "videos.jsonl").read_text().splitlines()]
        more = [{**row, "seed": seed} for row in rows for seed in range(seeds)]
        (folder / "videos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in more))
        assert cli("generate", "--generator", f"folder:{folder}", "--prompts", prompts, "--seeds", seeds,
                   "--out", tmp_path / "runs", "--name", name).code == 0  # fmt: skip
        runs.append(tmp_path / "runs" / name)
    study = tmp_path / "study"
    with served(runs, study, "--raters", "ann,bob") as (links, process):
        page = chromium.new_page()
        page.goto(links["ann"])
        assert votes(page, killed, ["ArrowLeft", "ArrowRight", "t"]) == killed
        page.wait_for_selector("[data-choice=left]:not([disabled])")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("() => document.getElementById('said').textContent.includes('not saved')")
        page.close()
    before = StudyFolder(study).votes()
    assert len(before) == killed and {vote.rater for vote in before} == {"ann"}
    with served(runs, study, "--raters", "ann,bob") as (links, _):
        for rater in ("ann", "bob"):
            page = chromium.new_page()
            page.goto(links[rater])
            votes(page, 200, ["ArrowLeft", "ArrowRight"])
            assert page.locator("#prompt").inner_text() == OVER
            page.close()
    found = StudyFolder(study).votes()
    assert found[:killed] == before and len(found) >= (200 if seeds > 1 else 16)
    for rater in ("ann", "bob"):
        mine = [vote for vote in found if vote.rater == rater]
        assert len({(vote.kind, vote.pair) for vote in mine}) == len(mine)
        assert sum(vote.kind == "pair" for vote in mine) == pairs
        for kind in ("blurred", "repeat"):
            assert sum(vote.kind == kind for vote in mine) >= (1 if seeds == 1 else 5), kind
        assert all(vote.seconds is not None and vote.seconds > 0 for vote in mine)
    done = cli("rate", "show", study, "--keep-all")
    assert done.code == 0 and "ann" in done.out and "could show" in done.out


def test_hostile_prompts_stay_text_and_the_keyboard_does_all(
    chromium: Browser, runs: list[Path], tmp_path: Path
) -> None:
    with served(runs, tmp_path / "study") as (links, _):
        page = chromium.new_page()
        failures: list[str] = []
        page.on("console", lambda message: failures.append(message.text))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(links["rater-1"])
        shown = []
        for _ in range(20):
            assert not over(page)
            shown.append(page.locator("#prompt").inner_text())
            assert page.title() == "Which video is better?" and page.locator("#prompt img").count() == 0
            if "onerror" in shown[-1]:
                break
            assert votes(page, 1, ["ArrowRight"]) == 1
        assert "onerror" in shown[-1] and "<script>" in shown[-1]
        assert failures == []
        page.close()


def test_buttons_wait_until_both_were_shown(chromium: Browser, runs: list[Path], tmp_path: Path) -> None:
    with served(runs, tmp_path / "study") as (links, _):
        page = chromium.new_page()
        page.goto(links["rater-1"])
        page.wait_for_selector("#pair:not([hidden])")
        page.keyboard.press("ArrowLeft")  # too early: clips of two seconds have just begun
        page.wait_for_selector("[data-choice=left]:not([disabled])")
        assert not (tmp_path / "study" / "votes.jsonl").read_bytes()
        page.keyboard.press(" ")
        assert page.evaluate("document.getElementById('left').paused")
        page.locator("[data-choice=tie]").click()
        page.wait_for_function("() => document.getElementById('progress').textContent.startsWith('1 of')")
        page.close()
    assert StudyFolder(tmp_path / "study").votes()[0].choice == "tie"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--aspect", "motion"], "give another --out"),
        (["--raters", "0"], "1 to 1000"),
        (["--port", "70000"], "port"),
    ],
)
def test_wrong_options_are_named(
    cli: Cli, runs: list[Path], tmp_path: Path, change: list[str], said: str
) -> None:
    with served(runs, tmp_path / "study"):
        pass
    done = cli("rate", *runs, "--out", tmp_path / "study", *change)
    assert done.code == 2 and said in done.err.lower()


def test_one_run_is_no_comparison(cli: Cli, runs: list[Path], tmp_path: Path) -> None:
    done = cli("rate", runs[0], "--out", tmp_path / "study")
    assert done.code == 2 and "two or more" in done.err
    done = cli("rate", "show", tmp_path)
    assert done.code == 2 and "is no study" in done.err
