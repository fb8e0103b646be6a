"""How videos become what a network of FVD sees, and its features a distance: the literature, as data.

The same network on the same videos gives FVDs that differ by tens between protocols. A result carries its
protocol, and results of different ones are not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

from evals.errors import UnknownName
from evals.video import CenterCrop, Resize, Stretch


@dataclass(frozen=True)
class Protocol:
    """How frames are resized, `ddof` of the covariance, where it is taken from, and how many consecutive
    frames a video gives; `epsilon` of the network's batch norms; `version` of its numbers here."""

    name: str
    resize: Resize
    ddof: int
    source: str
    frames: int = 16
    epsilon: float = 1e-3
    version: int = 1


STRETCH = Stretch(height=224, width=224, filter="linear")
SQUARE = CenterCrop(side=224, filter="linear", rounding="ceil")
PORT = 1e-5
"""The epsilon of the PyTorch port that VideoGPT and cd-fvd run; DeepMind's network has 1e-3."""


def _named(*protocols: Protocol) -> dict[str, Protocol]:
    return {p.name: p for p in protocols}


I3D = _named(
    Protocol(
        "stylegan-v", STRETCH, 0,
        "Skorokhodov et al. 2022: stretched to 224 × 224 without antialiasing, 16 frames",
    ),
    Protocol(
        "videogpt", SQUARE, 1,
        "Yan et al. 2021: short side 224 without antialiasing, centre crop, batch norm with 1e-5",
        epsilon=PORT, version=2,
    ),
    Protocol(
        "cd-fvd", SQUARE.model_copy(update={"via": 128}), 0,
        "Ge et al. 2024: short side 128 antialiased, centre crop, bytes, then 224 without antialiasing, batch"
        " norm with 1e-5",
        epsilon=PORT, version=2,
    ),
    Protocol(
        "cd-fvd-256", SQUARE.model_copy(update={"via": 256}), 0,
        "Ge et al. 2024 at a resolution of 256", epsilon=PORT, version=2,
    ),
)  # fmt: skip
VIDEOMAE = _named(
    Protocol(
        "cd-fvd", SQUARE.model_copy(update={"via": 256}), 0,
        "Ge et al. 2024, from video files: short side 256 antialiased, centre crop, bytes, then 224 without"
        " antialiasing",
        version=2,
    ),
    Protocol(
        "cd-fvd-arrays", STRETCH, 0,
        "Ge et al. 2024, from arrays: frames as they are, stretched to 224 × 224 without antialiasing",
        version=2,
    ),
)  # fmt: skip
PROTOCOLS = {"i3d": I3D, "i3d-native": I3D, "videomae": VIDEOMAE}
"""By network; the first of each is what a name without a protocol means."""


def protocol_of(encoder: str) -> Protocol | None:
    """The protocol in an encoder's id: `i3d` has the default, `i3d:videogpt` another; None where the
    encoder has none. Raises `UnknownName`."""
    name, colon, given = encoder.partition(":")
    known = PROTOCOLS.get(name)
    if known is None:
        return None
    if not colon:
        return next(iter(known.values()))
    if given not in known:
        raise UnknownName(f"protocol of {name}", given, known)
    return known[given]
