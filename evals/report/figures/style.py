"""One look for all figures, and how they are saved: the same inputs give the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.runs.journal import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, DIM, LINE, PAPER = "#1b1f24", "#5b6570", "#d9dee4", "#fdfefe"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#808080"
"""Of the palette of Okabe and Ito, which the colour-blind can tell apart."""
SERIES = (BLUE, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", ORANGE, "#7d6b00", GREY)
MARKERS = "osD^vPX*"
DARK = {INK: "#e4e8ec", DIM: "#98a3ae", LINE: "#343c45", PAPER: "#15191e", BLUE: "#3fa2e0"}
"""What the colours become on a dark page."""
VERDICTS = {"better": BLUE, "worse": ORANGE, "equivalent": DIM, "inconclusive": GREY, "": GREY}
LONGEST = 28  # characters of a label


@dataclass(frozen=True)
class Plot:
    """A figure: `draw` fills an empty one of `size` (inches). `caption` says what to read from it;
    `header` and `rows` are its numbers as a table."""

    name: str
    title: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Figure], None]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def _settings() -> Any:
    return {
        "font.size": 9, "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.labelsize": 8.5,
        "xtick.labelsize": 8, "ytick.labelsize": 8.5, "legend.fontsize": 8, "legend.frameon": False,
        "text.color": INK, "axes.labelcolor": DIM, "axes.edgecolor": LINE, "xtick.color": DIM,
        "ytick.color": INK, "axes.titlecolor": INK, "axes.facecolor": "none", "figure.facecolor": "none",
        "savefig.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": False, "grid.color": LINE, "axes.axisbelow": True, "lines.linewidth": 1.6,
        "text.parse_math": False,  # a $ in a name is a $
        "svg.hashsalt": "t2v-evals", "svg.fonttype": "none", "pdf.fonttype": 42,
        "font.family": ["sans-serif"],
    }  # fmt: skip


def save(plot: Plot, folder: Path) -> list[str]:
    """Write NAME.svg, NAME-dark.svg and NAME.pdf; gives their names."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    files = {}
    with matplotlib.rc_context(_settings()), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from"
        )  # the SVG is drawn with the reader's fonts
        figure = Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure)
        for suffix, undated in (("svg", "Date"), ("pdf", "CreationDate")):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata={undated: None})
            files[f"{plot.name}.{suffix}"] = buffer.getvalue()
    files[f"{plot.name}-dark.svg"] = _darkened(files[f"{plot.name}.svg"])
    for name, data in files.items():
        write_atomically(folder / name, data)
    return list(files)


def _darkened(svg: bytes) -> bytes:
    text = svg.decode()
    for light, dark in DARK.items():
        text = text.replace(light, dark)
    return text.encode()


def label(text: str) -> str:
    """A name as it fits beside an axis, without characters that no font draws."""
    shown = "".join(c if c.isprintable() else "·" for c in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def clean(axes: Axes, grid: str = "x") -> None:
    """Quiet axes: a light grid along one direction, no ticks."""
    axes.tick_params(length=0)
    axes.grid(True, axis=grid, linewidth=0.6)  # type: ignore[arg-type]


def colour_of(place: int) -> str:
    """The colour of the model at a place of the comparison: the same in every figure."""
    return SERIES[place % len(SERIES)]


def marker_of(place: int) -> str:
    """The shape of its marks."""
    return MARKERS[place % len(MARKERS)]


def legend(figure: Figure, labels: Sequence[str], shown: Sequence[str]) -> None:
    """Names the models that are shown, above the panels."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour_of(k), marker=marker_of(k), markersize=5, label=label(run))
        for k, run in enumerate(labels) if run in shown
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 4))


def shade(share: float) -> tuple[float, ...]:
    """The colour of a cell, from dark blue (0) over grey to yellow (1)."""
    from matplotlib import colormaps

    return tuple(colormaps["cividis"](0.12 + 0.8 * share))


def ink_on(share: float) -> str:
    """The colour of a text in such a cell."""
    return "#111111" if share > 0.55 else "#ffffff"
