"""Encoders: extractors that run on the device, on windows of frames batched across videos.

An encoder's id is what stands in a metric's brackets: a name from the table, or `ARCH/TAG` for any open_clip
model. Weights come from a local path (`--weights 'ARCH/TAG=PATH'`) or from the folder that `weights fetch`
fills. They are found and hashed before any work starts, and nothing here ever downloads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evals.encoders.base import CrossEncoder, Encoder, Precision, Setup, Start, TextEncoder
from evals.errors import UsageError
from evals.registry import Registry, with_code
from evals.video import FirstFrames

__all__ = [
    "ENCODERS",
    "CrossEncoder",
    "Encoder",
    "Precision",
    "Setup",
    "Start",
    "TextEncoder",
    "create",
    "weights_of",
]

ENCODERS = Registry(
    "encoder",
    {
        "dino": "evals.encoders.dino:Dino",
        "dinov2": "evals.encoders.dino:Dino",
        "timm:*": "evals.encoders.dino:Dino",
        "efficientnet-lite0": "evals.encoders.efficientnet:EfficientNetLite0",
        "embedded": "evals.encoders.embedded:Embedded",
        "i3d": "evals.encoders.i3d:ScriptedI3D",
        "i3d:*": "evals.encoders.i3d:ScriptedI3D",
        "i3d-native": "evals.encoders.i3d:NativeI3D",
        "i3d-native:*": "evals.encoders.i3d:NativeI3D",
        "lpips-alex": "evals.encoders.lpips:Lpips",
        "raft-large": "evals.encoders.raft:Raft",
        "raft-large:points": "evals.encoders.raft:RaftPoints",
        "raft-small:points": "evals.encoders.raft:RaftPoints",
        "raft-large:*": "evals.encoders.raft:Raft",
        "raft-small": "evals.encoders.raft:Raft",
        "videomae": "evals.encoders.videomae:VideoMae",
        "videomae:*": "evals.encoders.videomae:VideoMae",
        "vjepa2": "evals.encoders.vjepa2:VJepa2",
        "vjepa2:*": "evals.encoders.vjepa2:VJepa2",
        "vjepa2-predictor": "evals.encoders.vjepa2:VJepa2Predictor",
        "vjepa2-predictor:*": "evals.encoders.vjepa2:VJepa2Predictor",
        "xclip": "evals.encoders.xclip:XClip",
        "xclip:*": "evals.encoders.xclip:XClip",
        "*/*": "evals.encoders.clip:OpenClip",
    },
    "evals.encoders",
)


def weights_of(name: str, weights: Mapping[str, Path]) -> Path | None:
    """The local weights given for an encoder's id, or for its name before a protocol."""
    return weights.get(name, weights.get(name.rpartition(":")[0]))


def create(
    name: str, weights: Mapping[str, Path], precision: Precision = "fp32", start: Start = "first"
) -> Encoder:
    """Find an encoder and its weights; loads no network.

    `bf16` runs its network under autocast; `start="random"` takes a random clip instead of the first frames.
    Both stand in its spec. Raises `UnknownName`, `WeightsError`, or `UsageError` for an encoder that cannot
    follow.
    """
    encoder = ENCODERS.get(name)(name, Setup(weights_of(name, weights), precision, start))
    if not isinstance(encoder, Encoder):
        raise UsageError(f"{name} is not an encoder: its class does not extend evals.Encoder")
    if precision != encoder.spec.params.get("precision", "fp32"):
        raise UsageError(f"{name} has a precision of its own; leave --precision out")
    if start == "random" and not (isinstance(encoder.frames, FirstFrames) and encoder.frames.start == start):
        raise UsageError(f"{name}: takes the whole video; only encoders of one clip can take a random one")
    return with_code(encoder)
