"""How videos become what I3D sees, and its features a distance: the protocols of the literature, as data.

The same network on the same videos gives FVDs that differ by tens between them. A result carries its
protocol, and two of different ones are not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

from evals.decoding.windows import Sampling
from evals.errors import UnknownName


@dataclass(frozen=True)
class Protocol:
    """`sampling` of a video, `ddof` of the covariance, and where it is taken from."""

    name: str
    sampling: Sampling
    ddof: int
    source: str


def _first(frames: int = 16, size: int = 224, **how: object) -> Sampling:
    fields = {"windows": 1, "frames": frames, "height": size, "width": size, "first": True}
    return Sampling.model_validate({**fields, "interpolation": "linear", **how})


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            "stylegan-v",
            _first(resize="squash"),
            0,
            "Skorokhodov et al. 2022: stretched to 224 × 224 without antialiasing, 16 frames",
        ),
        Protocol(
            "videogpt",
            _first(resize="shortest"),
            1,
            "Yan et al. 2021: short side 224 without antialiasing, centre crop",
        ),
        Protocol(
            "cd-fvd",
            _first(resize="shortest", via=128),
            0,
            "Ge et al. 2024: short side 128 antialiased, centre crop, then 224 without antialiasing",
        ),
        Protocol(
            "cd-fvd-256",
            _first(resize="shortest", via=256),
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
