"""Downloads of published weight files.

Our own loop, since a download of gigabytes must resume and end in a checked file: pooch, the usual library,
starts anew after a broken connection. Models of the Hugging Face hub go through `huggingface_hub`, which does
both."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from evals.encoders.published import WeightFile, entry, verify
from evals.errors import WeightsError

BLOCK = 1 << 20
TIMEOUT = 60.0


def fetch(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download a file unless it is there, going on where an earlier try stopped, and check it before it
    gets its name. `progress` is told bytes so far and in all. Raises `WeightsError`."""
    wanted = entry(name)
    if wanted.path.exists():
        verify(wanted.path, wanted)
        return wanted.path
    partial = wanted.path.with_name(f"{wanted.file}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        if partial.exists() and partial.stat().st_size > wanted.size > 0:
            partial.unlink()
        start = partial.stat().st_size if partial.exists() and wanted.size else 0
        if start < wanted.size or not wanted.size:
            with (
                _opened(wanted, start) as (response, resumed),
                partial.open("ab" if resumed else "wb") as file,
            ):
                done = start if resumed else 0
                while block := response.read(BLOCK):
                    done += file.write(block)
                    if done > wanted.size > 0:
                        raise WeightsError(
                            f"{wanted.url}: sends more than the {wanted.size:,} bytes of {name}"
                        )
                    if progress:
                        progress(done, wanted.size or int(response.headers.get("Content-Length") or done))
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{wanted.url}: {_words(error)}; what came is kept, the same command goes on from there"
        ) from None
    if partial.stat().st_size < wanted.size:
        raise WeightsError(
            f"{wanted.url}: ended after {partial.stat().st_size:,} of {wanted.size:,} bytes; the same command"
            " goes on from there"
        )
    try:
        verify(partial, wanted)
    except WeightsError as error:
        partial.unlink()
        raise WeightsError(f"{wanted.url}: what came is another file: {error}") from None
    partial.replace(wanted.path)
    return wanted.path


@contextlib.contextmanager
def _opened(wanted: WeightFile, start: int) -> Iterator[tuple[HTTPResponse, bool]]:
    """The answer to a request from byte `start` on, and whether it begins there."""
    request = urllib.request.Request(wanted.url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        yield response, response.status == 206


def _words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
