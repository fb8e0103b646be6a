"""The tiny Wan pipeline as a function, with what serving changes: number format, attention kernel, noise that
no seed fixes. Its folder comes from $TINY_WAN."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel


@cache
def pipeline(dtype: str) -> Any:
    """The pipeline, loaded once for each number format."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    made = diffusers.WanPipeline.from_pretrained(os.environ["TINY_WAN"], torch_dtype=getattr(torch, dtype))
    made.set_progress_bar_config(disable=True)
    return made


def generate(
    prompt: str, seed: int, dtype: str = "float32", attention: str = "default", leak: float = 0.0,
    repeat: int = 0,
) -> NDArray[np.uint8]:  # fmt: skip
    """Nine frames of 64 × 48 pixels. `leak` mixes noise into the latents that only `repeat` fixes."""
    number = sum(prompt.encode())
    generator = torch.Generator().manual_seed(7919 * seed + number % 1000)
    latents = None
    if leak:
        latents = torch.randn((1, 16, 3, 6, 8), generator=generator)
        other = torch.Generator().manual_seed(104729 * repeat + seed + number)
        latents = (latents + leak * torch.randn(latents.shape, generator=other)) / (1 + leak**2) ** 0.5
        latents = latents.to(getattr(torch, dtype))
    kernel = sdpa_kernel(SDPBackend.MATH) if attention == "math" else contextlib.nullcontext()
    with kernel, torch.inference_mode():
        found = pipeline(dtype)(
            prompt=prompt, width=64, height=48, num_frames=9, num_inference_steps=2, generator=generator,
            output_type="np", latents=latents,
        )  # fmt: skip
    return np.asarray((np.clip(found.frames[0], 0, 1) * 255).round(), np.uint8)
