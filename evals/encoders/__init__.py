"""Encoders: extractors that run on the device, on sampled windows batched across videos.

An encoder's id is what stands in a metric's brackets: a name from the table, or `ARCH/TAG` for any
open_clip model. Weights come from a local path (`--weights 'ARCH/TAG=PATH'`) or by tag; they are found
and hashed before any work starts, never inside a metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from evals.decoding.windows import Sampling
from evals.errors import DoesNotApply
from evals.features import Rows
from evals.records import Spec
from evals.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Encoder(Protocol):
    """`spec` holds all that shapes its numbers: weights' hash, sampling, precision, batch shape."""

    spec: Spec
    sampling: Sampling
    batch: int

    def load(self, device: str) -> None:
        """Bring the network onto the device; called before every `encode`, so cheap where it is there. An
        optional `unload()` frees what it holds; `load` may follow."""
        ...

    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        """(batch, T, H, W, 3) from 0 to 255, uint8 or float32 as `sampling` says, on the device, to rows by
        name, each float32 (batch, T', d).

        `features` is what distances are measured on. Optional: `joint`, in the space of the text side
        where that is another one; `distance` (batch, 1, 1), how far a window is from what the encoder was
        made for, above 1 where its numbers mean nothing.
        """
        ...


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """An encoder that also has a text side in the same space."""

    def encode_text(self, texts: Sequence[str]) -> Sequence[Rows | DoesNotApply]:
        """For each text `features` (or `joint`) (1, d) float32 and `truncated` (1,) int64, 1 where words
        were cut; or why the encoder has no features for it."""
        ...


ENCODERS = Registry(
    "encoder",
    {
        "embedded": "evals.encoders.embedded:Embedded",
        "i3d": "evals.encoders.i3d:ScriptedI3D",
        "i3d:*": "evals.encoders.i3d:ScriptedI3D",
        "i3d-native": "evals.encoders.i3d:NativeI3D",
        "i3d-native:*": "evals.encoders.i3d:NativeI3D",
        "videomae": "evals.encoders.videomae:VideoMae",
        "vjepa2": "evals.encoders.vjepa2:VJepa2",
        "vjepa2:*": "evals.encoders.vjepa2:VJepa2",
        "*/*": "evals.encoders.clip:OpenClip",
    },
    "evals.encoders",
)


def resolve(name: str, weights: Mapping[str, Path]) -> Encoder:
    """Find an encoder and its weights. Raises `UnknownName` or `WeightsError`; loads no network."""
    encoder: Encoder = ENCODERS.get(name)(name, weights.get(name))
    return encoder
