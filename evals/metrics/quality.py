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
