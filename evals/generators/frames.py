"""What models return, as frames that can be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals import video
from evals.errors import Reason, SampleError


def as_frames(found: Any) -> NDArray[np.uint8]:
    """(T, H, W, 3) uint8 from an array or tensor (T, H, W, 3 or 1) or (T, 3, H, W), uint8 or floating from
    0 to 1, or from a sequence of pictures (arrays, tensors, PIL). Raises `SampleError`."""
    if isinstance(found, list | tuple):
        if not found:
            raise SampleError("the model returned no frames", Reason.BAD_OUTPUT)
        array = np.stack([_plain(picture) for picture in found])
    else:
        array = _plain(found)
    if array.ndim == 5 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 4 and array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3):
        array = np.moveaxis(array, 1, -1)
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4) or not array.size:
        raise SampleError(
            f"the model returned {array.shape}; frames are (T, H, W, 3) or (T, 3, H, W)", Reason.BAD_OUTPUT
        )
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise SampleError("the model returned NaN or infinity", Reason.BAD_OUTPUT)
        if array.min() < -1e-3 or array.max() > 1 + 1e-3:
            raise SampleError(
                f"the model returned values from {array.min():.3g} to {array.max():.3g}; floating frames are"
                " from 0 to 1",
                Reason.BAD_OUTPUT,
            )
        array = np.rint(np.clip(array, 0, 1) * 255)
    elif array.dtype != np.uint8:
        raise SampleError(
            f"the model returned {array.dtype}; frames are uint8, or floating from 0 to 1", Reason.BAD_OUTPUT
        )
    array = array[..., :3]
    if array.shape[-1] == 1:
        array = np.repeat(array, 3, -1)
    return np.ascontiguousarray(array, np.uint8)


def _plain(value: Any) -> NDArray[Any]:
    """An array of a tensor, a PIL picture or an array."""
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy() if value.is_floating_point() else value.cpu().numpy()
    if hasattr(value, "convert"):
        value = value.convert("RGB")
    return np.asarray(value)


def write(out: Path, frames: NDArray[np.uint8], fps: float, crf: int = 18) -> None:
    """Write frames as H.264 with the suite's own encoder; equal frames give equal bytes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    video.encode(out, list(frames), fps, crf=crf)
