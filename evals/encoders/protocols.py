"""How videos become what I3D sees, and its features a distance: the protocols of the literature, as data.

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
    frames a video gives."""

    name: str
    resize: Resize
    ddof: int
    source: str
    frames: int = 16


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            "stylegan-v",
            Stretch(height=224, width=224, filter="linear"),
            0,
            "Skorokhodov et al. 2022: stretched to 224 × 224 without antialiasing, 16 frames",
        ),
        Protocol(
            "videogpt",
            CenterCrop(side=224, filter="linear"),
            1,
            "Yan et al. 2021: short side 224 without antialiasing, centre crop",
        ),
        Protocol(
            "cd-fvd",
            CenterCrop(side=224, filter="linear", via=128),
            0,
            "Ge et al. 2024: short side 128 antialiased, centre crop, then 224 without antialiasing",
        ),
        Protocol(
            "cd-fvd-256",
            CenterCrop(side=224, filter="linear", via=256),
            0,
            "Ge et al. 2024 at a resolution of 256",
        ),
    )
}
DEFAULT = "stylegan-v"


def protocol_of(encoder: str) -> Protocol | None:
    """The protocol in an encoder's id: `i3d` has the default, `i3d:videogpt` another; None where the
    encoder has none. Raises `UnknownName`."""
    name, colon, given = encoder.partition(":")
    if name not in ("i3d", "i3d-native"):
        return None
    if colon and given not in PROTOCOLS:
        raise UnknownName("FVD protocol", given, PROTOCOLS)
    return PROTOCOLS[given or DEFAULT]
