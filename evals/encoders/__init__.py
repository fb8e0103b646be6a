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
from evals.errors import DoesNotApply, UsageError
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
        "dino": "evals.encoders.dino:Dino",
        "dinov2": "evals.encoders.dino:Dino",
        "timm:*": "evals.encoders.dino:Dino",
        "embedded": "evals.encoders.embedded:Embedded",
        "i3d": "evals.encoders.i3d:ScriptedI3D",
        "i3d:*": "evals.encoders.i3d:ScriptedI3D",
        "i3d-native": "evals.encoders.i3d:NativeI3D",
        "i3d-native:*": "evals.encoders.i3d:NativeI3D",
        "lpips-alex": "evals.encoders.lpips:Lpips",
        "raft-large": "evals.encoders.raft:Raft",
        "raft-large:*": "evals.encoders.raft:Raft",
        "raft-small": "evals.encoders.raft:Raft",
        "videomae": "evals.encoders.videomae:VideoMae",
        "vjepa2": "evals.encoders.vjepa2:VJepa2",
        "vjepa2:*": "evals.encoders.vjepa2:VJepa2",
        "xclip": "evals.encoders.xclip:XClip",
        "xclip:*": "evals.encoders.xclip:XClip",
        "*/*": "evals.encoders.clip:OpenClip",
    },
    "evals.encoders",
)


@runtime_checkable
class CrossEncoder(TextEncoder, Protocol):
    """One whose text features depend on the video, and so exist for both together only."""

    def cross(self, video: Rows, text: Rows) -> Rows:
        """`cosine` (1,) from a video's stored rows and a text's; cheap, on the CPU."""
        ...


def resolve(name: str, weights: Mapping[str, Path], precision: str = "fp32") -> Encoder:
    """Find an encoder and its weights: those given for its id, or for its name before a protocol.

    `bf16` runs its network under autocast, and says so in its spec. Raises `UnknownName` or
    `WeightsError`; loads no network.
    """
    encoder: Encoder = ENCODERS.get(name)(name, weights.get(name, weights.get(name.rpartition(":")[0])))
    if precision == "bf16":
        from evals.encoders.exact import Bf16

        return Bf16(encoder)
    return encoder


def draw(encoder: Encoder, name: str) -> None:
    """Have an encoder see a window that starts at a drawn frame instead of the first, as StyleGAN-V takes
    real clips; its spec says so. Raises `UsageError` for one that sees more than a first window."""
    if not encoder.sampling.first:
        raise UsageError(
            f"{name}: sees the whole video; only encoders of one window can start at a drawn frame"
        )
    encoder.sampling = encoder.sampling.model_copy(update={"drawn": True})
    params = {**encoder.spec.params, "sampling": encoder.sampling.to_json()}
    encoder.spec = encoder.spec.model_copy(update={"params": params})
