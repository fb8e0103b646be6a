"""The page in a browser: tables, filters, players in step, wipe, difference, curves, stars; hostile texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evals.api import evaluate
from evals.records import Prompt, PromptSet
from evals.video import encode
from tests.browser import browser, choose, frames_shown, middle, open_first, opened, rows, to_videos, until
from tests.conftest import ball

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EVIL = (
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)> javascript:alert(3) {{7*7}} =cmd|'/C calc'!A0"
)
LOOKS: dict[str, dict[str, Any]] = {
    "steady": {"frames": 32, "fps": 16},
    "short-slow": {"frames": 9, "fps": 8},
    "freezes": {"frames": 32, "fps": 16},
}
PROMPTS = 16

MEDIA_TIMES = """() => {
  globalThis.shown = [];
  document.querySelectorAll('#stage video').forEach((video, k) => {
    const note = (now, frame) => {
      shown.push([k, now, frame.mediaTime]);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  });
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of 16 prompts: clips of other lengths and rates, one that freezes and cuts, one broken
    file, and a prompt, category and name that are no friends of ours."""
    place = tmp_path_factory.mktemp("page")
    for name, look in LOOKS.items():
        folder = place / "clips" / name
        folder.mkdir(parents=True)
        lines = []
        for i in range(PROMPTS):
            clip = ball(look["frames"], seed=i, step=1.2)
            if name == "freezes" and i % 2 == 0:
                clip[8:20] = clip[8]
                clip[20:] = 255 - clip[20:]
            file = "=1 <b>&.mp4" if i == 0 else f"{i}.mp4"
            encode(folder / file, list(clip), look["fps"])
            if name == "short-slow" and i == 3:
                (folder / file).write_bytes(b"no video")
            text = f"{EVIL} {i}" if i == 0 else f"a disc, number {i}"
            category = EVIL if i == 0 else "odd" if i % 2 else "even"
            lines.append({"path": file, "prompt": text, "prompt_id": f"disc-{i}", "category": category})
        (folder / "videos.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tagged = [
        Prompt(id=line["prompt_id"], text=line["prompt"], category=line["category"],
               tags=("round", EVIL[:20]) if i < 4 else ())
        for i, line in enumerate(lines)
    ]  # fmt: skip
    found = evaluate(
        {name: place / "clips" / name for name in LOOKS}, baseline="steady", out=place / "runs",
        prompts=PromptSet(name="discs", prompts=tuple(tagged)),
        metrics=["temporal_flicker", "frozen_frames", "scene_cuts", "sharpness", "warping_error[dis]"],
    )  # fmt: skip
    found.report(place / "report", videos=None)
    found.report(place / "single", videos=3, single_file=True)
    return place / "report" / "index.html"


def test_the_first_screen_answers(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        assert page.locator(".answer").inner_text().startswith("Against steady: ")
        matrix = page.locator(".matrix")
        box = matrix.bounding_box()
        assert box is not None and box["y"] + box["height"] < 900  # without scrolling
        text = matrix.inner_text()
        assert "worse" in text and "15 of 16: 1 failed" in text and "baseline" in text
        grave = page.locator("div.warnings").inner_text()  # what can turn a verdict around is not folded
        assert "the runs differ in fps, frames" in grave and "What to do: Score all runs with one" in grave
        assert matrix.locator("thead").inner_text().count("read with care") == 3  # what frames and rates move
        light = page.locator("details.warnings")
        assert light.locator("summary").inner_text() == "1 more warning: how far the numbers reach"
        light.locator("summary").click()
        assert "What to do: Add prompts" in light.inner_text()


def test_where_each_model_fails(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        lines = page.locator("#failing tbody tr").all_inner_texts()
        assert "cut in 8 of 16, " in lines[2] and "freeze in 8 of 16" in lines[2] and "freeze" not in lines[0]
        page.locator("#failing tbody tr").nth(2).locator("[data-flag='freeze']").click()
        assert page.locator("#shown").inner_text().startswith("8 of 16")
        assert {int(name.split("-")[1]) % 2 for name in rows(page)} == {0}
        worst = page.locator("#failing tbody tr").nth(2).locator("[data-row]")
        assert worst.count() == 3
        name = worst.first.inner_text()
        worst.first.click()
        assert name in page.locator("#stage header").inner_text()


def test_tables_sort_filter_and_hide(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        table = page.locator("#differences-table")
        every = table.locator("tbody tr:visible").count()
        filters = page.locator("#differences-filters")
        filters.get_by_label("hide inconclusive").check()
        decided = table.locator("tbody tr:visible").count()
        assert 0 < decided < every and "inconclusive" not in table.inner_text()
        filters.get_by_label("Aspect").last.select_option("consistency")
        assert 0 < table.locator("tbody tr:visible").count() < decided
        filters.get_by_label("Aspect").last.select_option("")
        filters.get_by_label("hide inconclusive").uncheck()
        head = table.locator("thead th").nth(4)
        for way in ("ascending", "descending"):
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == way
            values = [float(v) for v in table.locator("tbody tr td:nth-child(5)").evaluate_all(
                "cells => cells.map(cell => cell.dataset.v).filter(v => v !== '')")]  # fmt: skip
            assert values == sorted(values, reverse=way == "descending") and len(set(values)) > 3


def test_a_metrics_name_opens_what_it_is(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        name = page.locator("#means button.metric", has_text="temporal_flicker").first
        name.focus()
        page.keyboard.press("Enter")
        panel = page.locator("#about")
        text = panel.inner_text()
        for expected in ("mean |fₜ − fₜ₊₁|", "higher is better", "stillness, blur", "VBench", "version 1"):
            assert expected in text, expected
        page.keyboard.press("Escape")
        assert not panel.is_visible()


def test_rows_are_ordered_and_filtered(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        choose(page, "Order", "id")
        assert rows(page)[:3] == ["disc-0", "disc-1", "disc-10"]
        choose(page, "Order", "worst")
        assert rows(page)[0] == "disc-3"  # a video that is not there is the worst
        choose(page, "Order", "disagreement")
        choose(page, "Metric", "1")  # frozen frames: every second prompt freezes
        found = rows(page)[:4]
        assert {int(one.split("-")[1]) % 2 for one in found} == {0}, found
        choose(page, "Order", "regression")
        choose(page, "Show", "failures")
        assert rows(page) == ["disc-3"] and page.locator("#shown").inner_text().startswith("1 of 16")
        choose(page, "Show", "all")
        choose(page, "Outcome", "failed")
        assert rows(page) == ["disc-3"]
        choose(page, "Outcome", "")
        choose(page, "Category", "odd")
        assert page.locator("#shown").inner_text().startswith("8 of 16")
        choose(page, "Category", "")
        choose(page, "Tag", "round")
        assert page.locator("#shown").inner_text().startswith("4 of 16")
        choose(page, "Tag", "")
        page.get_by_label("Find in prompts").fill("number 11")
        page.wait_for_timeout(250)
        assert rows(page) == ["disc-11"]
        page.locator("#filters fieldset").get_by_label("freezes").uncheck()
        assert page.locator(".row .tile").count() == 2


def test_players_stay_in_step(chromium: Browser, report: Path) -> None:
    """Through play, seek and step, videos are within one frame of the slowest, 1/8 s, of each other."""
    with opened(chromium, report) as (page, _):
        stage = open_first(page, "number 5")
        page.keyboard.press("Home")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert frames_shown(page) == [3, 1, 3]
        page.keyboard.press("ArrowLeft")
        assert frames_shown(page) == [2, 1, 2]
        stage.get_by_label("Frame", exact=True).fill("12")
        assert frames_shown(page) == [12, 6, 12]
        page.keyboard.press("End")
        assert frames_shown(page) == [31, 8, 31]
        assert stage.locator(".end:visible").all_inner_texts() == ["ended"]  # the short one
        stage.get_by_label("loop").uncheck()
        page.locator("#stage h3").focus()
        page.keyboard.press("Home")
        page.evaluate(MEDIA_TIMES)
        page.keyboard.press("Space")
        page.wait_for_timeout(800)
        page.keyboard.press("Space")
        paused = frames_shown(page)
        assert paused[0] == paused[2] and paused[0] > 2 and paused[1] == min(paused[0] // 2, 8)
        page.keyboard.press("Space")
        until(page, "document.querySelector('#stage .play').textContent === '▶'")
        assert frames_shown(page) == [31, 8, 31]
        last: dict[int, float] = {}
        apart = []
        for video, _now, time in page.evaluate("shown"):
            last[video] = time
            running = [last[k] for k in (0, 1, 2) if k in last and (k != 1 or max(last.values()) < 1.0)]
            apart.append(max(running) - min(running))
        assert len(apart) > 20 and np.quantile(apart, 0.9) <= 1 / 8 + 1e-3, sorted(apart)[-10:]


def test_wipe_difference_shift_and_zoom(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        stage = open_first(page, "number 4")
        page.keyboard.press("w")
        assert stage.locator("figure:visible").count() == 2
        models = stage.locator(".of select")
        assert models.nth(0).input_value() == "0" and models.nth(1).input_value() == "1"
        for first, second in (("2", "0"), ("0", "2")):  # whichever stands first on the page
            models.nth(0).select_option(first)
            models.nth(1).select_option(second)
            boxes = [stage.locator(f"figure.{side} .frame").bounding_box() for side in ("first", "second")]
            assert boxes[0] == boxes[1] and boxes[0] is not None
            caption = stage.locator("figcaption:visible").first.bounding_box()
            assert caption is not None and caption["y"] >= boxes[0]["y"] + boxes[0]["height"] - 1
        stage.get_by_label("Place of the wipe").fill("25")
        clip = stage.locator("figure.second .frame").evaluate("node => getComputedStyle(node).clipPath")
        assert clip == "inset(0px 0px 0px 25%)"
        page.locator("#stage h3").focus()
        page.keyboard.press("d")
        frame = stage.locator("figure.second .frame")
        assert frame.evaluate("node => getComputedStyle(node).mixBlendMode") == "difference"
        page.keyboard.press("Home")
        before = middle(page, stage)
        page.locator("#stage h3").focus()
        page.keyboard.press("End")
        frames_shown(page)
        after = middle(page, stage)
        assert before < 12 and after > 4 * before  # equal at first, inverted at the end
        page.keyboard.press("a")
        assert stage.locator("figure:visible").count() == 3
        stage.get_by_label("Time shift of steady in frames").fill("3")
        page.locator("#stage h3").focus()
        page.keyboard.press("Home")
        assert frames_shown(page) == [3, 0, 0]
        page.keyboard.press("+")
        scales = stage.locator("video").evaluate_all("all => all.map(v => getComputedStyle(v).transform)")
        assert len(set(scales)) == 1 and scales[0].startswith("matrix(2,")


def test_curves_seek_and_flags_have_stills(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        stage = open_first(page, "number 6")
        stage.locator(".chart canvas").first.wait_for()
        titles = stage.locator(".curves h4").all_inner_texts()
        assert "change between frames (8-bit levels)" in titles and len(titles) >= 4
        over = stage.locator(".u-over").first
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        assert box is not None
        over.click(position={"x": box["width"] / 2, "y": 40})
        assert frames_shown(page) == [16, 8, 16]  # half of two seconds
        flags = stage.locator(".flags button")
        texts = flags.all_inner_texts()
        assert any("freezes: freeze at 0.50 s" in text for text in texts), texts
        assert any("freezes: cut at 1.19 s" in text for text in texts), texts
        cut = flags.filter(has_text="cut").first
        cut.click()
        assert frames_shown(page)[2] == 19
        still = cut.locator("img")
        still.scroll_into_view_if_needed()
        until(page, "[...document.querySelectorAll('.flags img')].every((i) => i.complete && i.naturalWidth)")
        assert still.evaluate("image => image.naturalWidth / image.naturalHeight") == pytest.approx(
            2 * 64 / 48
        )


def test_stars_and_comments_are_kept_and_exported(chromium: Browser, report: Path, tmp_path: Path) -> None:
    with opened(chromium, report) as (page, _):
        page.get_by_label("Find in prompts").fill("number 7")
        page.wait_for_timeout(250)
        to_videos(page)
        page.locator(".row .star").click()
        open_first(page)
        page.get_by_label("Comment", exact=True).fill("a <b>jump</b>")
        page.keyboard.press("Escape")
        page.reload()
        until(page, "document.getElementById('shown').textContent !== ''")
        choose(page, "Show", "starred")
        assert rows(page) == ["disc-7"] and page.locator(".row .star").inner_text() == "★"
        with page.expect_download() as download:
            page.get_by_role("button", name="Export stars and comments").click()
        download.value.save_as(tmp_path / "marks.json")
        [mark] = json.loads((tmp_path / "marks.json").read_text())["marks"]
        assert mark == {"prompt_id": "disc-7", "prompt": "a disc, number 7", "seed": 0, "star": True,
                        "comment": "a <b>jump</b>"}  # fmt: skip


def test_hostile_texts_stay_texts(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, seen):
        stage = open_first(page, "onerror")
        assert EVIL in stage.locator("h3").inner_text() and "{{7*7}}" in stage.inner_text()
        links = page.evaluate("[...document.querySelectorAll('a')].map((a) => a.protocol)")
        assert set(links) == {"file:"}
        assert page.locator("img[src='x'], script[src*='alert']").count() == 0
        assert seen.said == []
    assert "<script>alert" not in report.read_text() and "<img src=x" not in report.read_text()
    cells = re.findall(r'"((?:[^"]|"")*)"', (report.parent / "scores.csv").read_text())
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_without_a_script_the_answer_is_there(chromium: Browser, report: Path) -> None:
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(report.as_uri())
    assert page.locator(".matrix").is_visible() and page.locator("#differences-table").is_visible()
    assert "Videos need a script" in page.locator("noscript").inner_text()
    page.context.close()


def test_the_keyboard_reaches_everything(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        to_videos(page)
        page.locator("#filters select").first.focus()
        reached = []
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("document.activeElement.className || document.activeElement.tagName")
            )
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert {"star", "prompt", "start"} <= set(reached)
        page.locator(".row .prompt").first.focus()
        page.keyboard.press("Enter")
        page.locator("#stage").wait_for(state="visible")
        title = page.locator("#stage h3").inner_text()
        page.keyboard.press("n")
        assert page.locator("#stage h3").inner_text() != title
        page.keyboard.press("p")
        assert page.locator("#stage h3").inner_text() == title
        page.keyboard.press("Escape")
        assert not page.locator("#stage").is_visible()


def test_a_row_plays_where_it_stands(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, _):
        to_videos(page)
        page.locator(".row").first.hover()
        tiles = page.locator(".row .tiles").first.bounding_box()
        page.locator(".row .start").first.click()
        until(page, "[...document.querySelectorAll('.row video')].some((v) => v.currentTime > 0.3)")
        bar = page.locator(".row .transport").bounding_box()
        assert (
            bar is not None and tiles is not None and bar["y"] + bar["height"] <= tiles["y"] + 1
        )  # covers nothing
        assert page.locator(".row .tiles").first.bounding_box() == tiles  # and moves nothing
        assert page.locator("video[controls]").count() == 0
        page.keyboard.press("Space")


def test_a_phone_has_it_all(chromium: Browser, report: Path) -> None:
    with opened(chromium, report, 390, 800) as (page, _):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        open_first(page)
        assert page.evaluate("document.getElementById('stage').scrollWidth") <= 390


def test_a_single_file_needs_nothing_beside_it(chromium: Browser, report: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.html"
    alone.write_bytes((report.parents[1] / "single" / "index.html").read_bytes())
    with opened(chromium, alone) as (page, seen):
        stage = open_first(page)
        stage.locator(".chart canvas").first.wait_for()
        assert [url for url in seen.asked if url.startswith("file:")] == [alone.as_uri()]
    assert "13 prompts have no copies here" in alone.read_text()
