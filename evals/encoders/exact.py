"""Full single precision, the same bits each time: no TF32, no kernels chosen by timing or with atomics.
Or, where it is asked for, bfloat16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from evals.errors import UsageError
from evals.records import Spec

if TYPE_CHECKING:
    from evals.encoders import Encoder


@contextmanager
def exact() -> Iterator[None]:
    """For the forward pass of an fp32 encoder; what the process had chosen is put back."""
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)


class Bf16:
    """An encoder whose network computes in bfloat16 where autocast allows it; texts stay in fp32. Its spec
    says so, so its numbers don't mix with others. Raises `UsageError` for an encoder of fixed precision."""

    def __init__(self, encoder: Encoder) -> None:
        if encoder.spec.params.get("precision") != "fp32":
            raise UsageError(f"{encoder.spec.name} has a precision of its own; leave --precision out")
        self._encoder = encoder
        self.sampling, self.batch = encoder.sampling, encoder.batch
        params = {**encoder.spec.params, "precision": "bf16"}
        self.spec = Spec(name=encoder.spec.name, version=encoder.spec.version, params=params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def load(self, device: str) -> None:
        self._encoder.load(device)

    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        with torch.autocast(windows.device.type, torch.bfloat16):
            return {name: rows.float() for name, rows in self._encoder.encode(windows).items()}
