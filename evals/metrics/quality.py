"""How single frames look."""

from __future__ import annotations

from collections.abc import Mapping

from evals.features import Rows
from evals.metrics import About, Skip, Value
from evals.records import Prompt, Spec


class Sharpness:
    """Mean over frames of the variance of the Laplacian of 8-bit luma, at the video's own size."""

    spec = Spec(name="sharpness", version=1)
    about = About(
        "higher", 0.0, None, unit="grey levels²",
        source="variance of the Laplacian (Pech-Pacheco et al. 2000)",
        note="noise raises it, and it depends on the video's size",
    )  # fmt: skip
    needs = ("fold:laplacian",)
    reads: tuple[str, ...] = ()

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        return Value(float(rows["fold:laplacian"]["variance"].mean()))


class Colorfulness:
    """Mean over frames of how far their colours spread from grey."""

    spec = Spec(name="colorfulness", version=1)
    about = About(
        "none", 0.0, None, source="Hasler & Süsstrunk 2003, M3", note="more is not better: noise raises it"
    )
    needs = ("fold:colour",)
    reads: tuple[str, ...] = ()

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        return Value(float(rows["fold:colour"]["colorfulness"].mean()))


class ExposureClipping:
    """Mean over frames of the share of pixels that are black or white to the end of the scale."""

    spec = Spec(name="exposure_clipping", version=1)
    about = About(
        "lower", 0.0, 1.0, unit="share of pixels", source="luma at most 4 or at least 251 of 255",
        note="a night or a white ground is no mistake",
    )  # fmt: skip
    needs = ("fold:colour",)
    reads: tuple[str, ...] = ()

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        found = rows["fold:colour"]
        return Value(float((found["dark"] + found["bright"]).mean()))
