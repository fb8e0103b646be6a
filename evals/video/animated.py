"""What FFmpeg leaves out of animated pictures: WebP's frames, and whether a file has its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from evals.errors import Reason, VideoError

DEFAULT_SECONDS = 0.1  # of a frame that gives no time, as players show it


def gif_gives_no_delay(path: Path) -> bool:
    """Whether a GIF leaves its delay to the player, or gives one that no player follows."""
    with Image.open(path) as image:
        return float(image.info.get("duration") or 0) < 20


def lacks_its_end(path: Path) -> bool:
    """Whether a GIF or PNG ends before its end mark: FFmpeg shows what there is and says nothing."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(0, path.stat().st_size - 64))
        tail = file.read().rstrip(b"\0")
    if head[:4] == b"GIF8":
        return not tail.endswith(b";")
    return head == b"\x89PNG\r\n\x1a\n" and b"IEND" not in tail


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP with an animation."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def is_moving_picture(path: Path) -> bool:
    """Whether a `.webp` or `.avif` file is a video and no still."""
    try:
        if path.suffix.lower() == ".webp":
            return is_animated_webp(path)
        if path.suffix.lower() == ".avif":
            with path.open("rb") as file:
                head = file.read(64)
            return head[4:8] == b"ftyp" and b"avis" in head
    except OSError:
        pass
    return False


def webp_size(path: Path) -> tuple[int, int]:
    """Width and height of the canvas, from the header."""
    with path.open("rb") as file:
        head = file.read(30)
    return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")


def webp_seconds(path: Path, most: int) -> list[float]:
    """How long every frame is shown, of at most `most` + 1 frames. Raises `VideoError` for a cut file."""
    found: list[float] = []
    with path.open("rb") as file:
        whole = 8 + int.from_bytes(file.read(8)[4:], "little")
        if path.stat().st_size < whole:
            raise VideoError("truncated: the container announces more bytes", Reason.TRUNCATED)
        file.seek(12)
        while file.tell() < whole and len(found) <= most:
            head = file.read(8)
            size = int.from_bytes(head[4:], "little")
            following = file.tell() + size + size % 2
            if head[:4] == b"ANMF":
                milliseconds = int.from_bytes(file.read(16)[12:15], "little")
                found.append(milliseconds / 1000 or DEFAULT_SECONDS)
            file.seek(following)
    return found


def webp_frames(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """Frames (H, W, 4) RGBA of the whole canvas. Raises `VideoError`."""
    try:
        with Image.open(path, formats=("WEBP",)) as image:
            for number in range(count):
                image.seek(number)
                yield np.asarray(image.convert("RGBA"), np.uint8)
    except (EOFError, OSError, UnidentifiedImageError, ValueError) as error:
        raise VideoError(f"cannot be decoded: {error}", Reason.DAMAGED_FRAME) from None
