"""A browser for tests: Debian's Chromium, driven by playwright. Tests skip where either is missing."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-quic", "--no-first-run", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser that fetches nothing of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is installed")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(QUIET))
        yield opened
        opened.close()


class Seen:
    """What a page said and asked for while it was open."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self.asked.append(request.url))

    @property
    def outside(self) -> list[str]:
        """Addresses that are neither on this disk nor in the page."""
        return [url for url in self.asked if not url.startswith(("file:", "data:", "blob:", "about:"))]


def until(page: Page, expression: str, seconds: float = 15.0) -> None:
    """Wait for something to be true on the page, whose policy forbids the waiting that the driver has."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(40)


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1300, height: int = 900) -> Iterator[tuple[Page, Seen]]:
    """A report's page in a window of this size; nothing may be said, and nothing fetched."""
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    page = context.new_page()
    seen = Seen(page)
    page.goto(path.as_uri())
    if page.locator("#shown").count():
        until(page, "document.getElementById('shown').textContent !== ''")
    yield page, seen
    assert seen.said == [] and seen.outside == []
    context.close()


# --- the viewer ---


def to_videos(page: Page) -> None:
    """Only rows near the screen exist."""
    page.evaluate("document.getElementById('videos').scrollIntoView()")
    page.wait_for_timeout(120)


def rows(page: Page) -> list[str]:
    """The prompts of the viewer's first rows, from above."""
    to_videos(page)
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
        ".map((row) => row.querySelector('.facts').textContent.split(' · ')[1])"
    )
    return found


def choose(page: Page, label: str, value: str) -> None:
    page.locator("#filters").get_by_label(label, exact=True).last.select_option(value)


def open_first(page: Page, text: str = "") -> Locator:
    if text:
        page.get_by_label("Find in prompts").fill(text)
        page.wait_for_timeout(250)
    to_videos(page)
    page.locator(".row .prompt").first.click()
    stage = page.locator("#stage")
    stage.wait_for(state="visible")
    until(page, "[...document.querySelectorAll('#stage video')].every((v) => v.readyState >= 2)")
    return stage


def frames_shown(page: Page) -> list[int]:
    """Which frame each video shows; rates are 16, 8 and 16 a second."""
    until(page, "[...document.querySelectorAll('#stage video')].every((v) => !v.seeking)")
    times = page.evaluate("[...document.querySelectorAll('#stage video')].map((v) => v.currentTime)")
    return [int(t * fps) for t, fps in zip(times, (16, 8, 16), strict=True)]


def middle(page: Page, stage: Locator) -> float:
    """Mean brightness of what the difference shows."""
    page.wait_for_timeout(200)
    shot = stage.locator("figure.first .frame").screenshot()
    return float(np.asarray(Image.open(io.BytesIO(shot)).convert("L")).mean())
