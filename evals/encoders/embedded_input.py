"""What the embedded encoders take: the shape of a video, and the words of a text."""

from __future__ import annotations

import re

FRAMES, HEIGHT, WIDTH = 12, 64, 80
WORDS = 40


def split(text: str) -> list[str]:
    """The words of a text as this encoder reads them: lower case, letters and digits."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("'s", ""))
