"""Physics in reports: the suite on simulated films, laws by model, violated moments with stills, flags in the
viewer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evals.cli import cli as program
from evals.metrics import suites
from evals.prompts import find, load
from tests.browser import browser, opened, to_videos, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHOSEN = ("two-balls-different-heights", "ball-drop", "puck-on-ice", "shadow-of-stick")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("physics")
    whole = (find("physics")).read_text()
    _, *each = re.split(r"\n(?=  - id: )", whole)
    head = "name: few\nprompts:"  # without the set's rules and subsets
    kept = [one for one in each if re.match(r"  - id: (\S+)", one)[1] in CHOSEN]  # type: ignore[index]
    (place / "few.yaml").write_text("\n".join([head, *kept]))
    for world in ("clean", "unequal-gravity@1", "teleport@1"):
        arguments = [
            "run", "--generator", f"simulated:{world}", "--prompts", str(place / "few.yaml"),
            "--suite", "physics", "--seconds", "2", "--fps", "16", "--size", "192x144",
            "--out", str(place), "--name", world.partition("@")[0], "-q",
        ]  # fmt: skip
        program.main(args=arguments, standalone_mode=False)
    runs = [str(place / name) for name in ("clean", "unequal-gravity", "teleport")]
    program.main(args=["compare", *runs, "--out", str(place / "report"), "-q"], standalone_mode=False)
    return place / "report"


def test_the_suite_names_physics_first() -> None:
    assert suites.load("physics").metrics[:3] == ("physics_law", "physics_permanence", "physics_continuity")
    prompts = load(find("physics")).prompts
    assert {"gravity", "restitution", "rest", "pendulum", "collision"} <= {p.law for p in prompts}
    assert any(s.metres for p in prompts for s in p.subjects)


@pytest.mark.slow
def test_laws_stand_beside_how_many_clips_they_could_be_tested_on(chromium: Browser, report: Path) -> None:
    with opened(chromium, report / "index.html") as (page, _):
        table = page.locator("#physics table").first
        rows = {
            row.locator("th").inner_text(): [cell.inner_text() for cell in row.locator("td").all()]
            for row in table.locator("tbody tr").all()
        }
        assert set(rows) == {"gravity", "inertia", "restitution"}  # of light nothing is known
        assert rows["gravity"][:3] == ["1 of 1", "1.00", "0"]
        assert (
            rows["gravity"][3] == "1 of 1" and float(rows["gravity"][4]) < 0.5 and rows["gravity"][5] == "1"
        )
        text = page.locator("#physics").inner_text()
        assert "not known to obey the law" in text


@pytest.mark.slow
def test_violated_moments_have_a_still_and_open_the_viewer(chromium: Browser, report: Path) -> None:
    with opened(chromium, report / "index.html") as (page, _):
        first = page.locator("#physics .evidence li").filter(has_text="two-balls-different-heights").first
        assert re.search(r"law broken \(gravity\) at \d+\.\d\d s: ", first.inner_text())
        still = first.locator("img").get_attribute("src")
        assert still and (report / still).is_file()
        assert first.locator("svg.timeline .broken").count() >= 1
        headings = page.locator("#physics h3").all_inner_texts()
        assert any(h.startswith("teleport: ") and "with a violation" in h for h in headings)
        assert not any(h.startswith("clean: ") for h in headings)
        first.locator("button").click()
        until(page, "document.querySelector('#stage').open")
        flags = page.locator("#stage .flags li").all_inner_texts()
        assert any("law broken at" in flag and "," in flag for flag in flags)


@pytest.mark.slow
def test_videos_are_found_by_what_is_wrong_with_them(chromium: Browser, report: Path) -> None:
    with opened(chromium, report / "index.html") as (page, _):
        to_videos(page)
        options = page.locator("#filters option").all_inner_texts()
        assert "with a law broken" in options and "with a jump" in options
        assert "thing vanishes, appears" in page.locator("#failing").inner_text()


@pytest.mark.slow
def test_without_a_script_physics_is_there(chromium: Browser, report: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((report / "index.html").as_uri())
    assert page.locator("#physics table").first.is_visible()
    assert page.locator("#physics .evidence li").count() >= 2
    context.close()
