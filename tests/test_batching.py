"""The device queue: order, attempts, back-pressure, padding, faults, encoders that don't fit together."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from evals.encoders.base import Encoder
from evals.encoders.device import AHEAD, Batcher, DeviceQueue
from evals.encoders.exact import exact
from evals.errors import DeviceError
from evals.records import Spec
from evals.video import FirstFrames, Stretch


class Mean(Encoder):
    """The mean of each window; notes what it was given."""

    frames = FirstFrames(frames=2)
    resize = Stretch(height=4, width=4)

    def __init__(self, name: str = "mean", batch: int = 4, seconds: float = 0.0) -> None:
        super().__init__(name)
        self.spec, self.batch, self.seconds = Spec(name=name), batch, seconds
        self.shapes: list[tuple[int, ...]] = []
        self.threads: set[str] = set()

    @property
    def loaded(self) -> bool:
        return self._device is not None

    def _open(self, device: str) -> object:
        return object()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        time.sleep(self.seconds)
        self.shapes.append(tuple(windows.shape))
        self.threads.add(threading.current_thread().name)
        return {"features": windows.float().mean((1, 2, 3, 4))[:, None, None]}


def window(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((2, 4, 4, 3), value, np.uint8)


def test_every_window_gets_its_own_features_from_padded_batches() -> None:
    encoder = Mean()
    with DeviceQueue("cpu") as queue:
        batcher = Batcher(encoder, queue)
        for i in range(10):
            batcher.add(f"v{i // 3}", 7, i % 3, window(i))
        batcher.flush()
        batcher.flush()
        found = list(batcher.encoded(wait=True))
    assert [(f.owner, f.attempt, f.number) for f in found] == [(f"v{i // 3}", 7, i % 3) for i in range(10)]
    assert [float(f.features["features"].item()) for f in found] == list(range(10))
    assert encoder.shapes == [(4, 2, 4, 4, 3)] * 3
    assert encoder.threads == {next(iter(encoder.threads))} != {threading.current_thread().name}


def test_whoever_adds_waits_when_too_much_is_under_way() -> None:
    encoder = Mean(batch=1, seconds=0.05)
    with DeviceQueue("cpu") as queue:
        batcher = Batcher(encoder, queue)
        for i in range(8):
            batcher.add("v", 0, i, window(i))
            assert i + 1 - len(encoder.shapes) <= AHEAD + 1
        assert len(list(batcher.encoded(wait=True))) == 8


def test_work_goes_on_while_the_device_works() -> None:
    encoder = Mean(batch=1, seconds=0.5)
    with DeviceQueue("cpu") as queue:
        batcher = Batcher(encoder, queue)
        batcher.add("v", 0, 0, window(1))
        assert list(batcher.encoded()) == []
        assert len(list(batcher.encoded(wait=True))) == 1


class Full(Mean):
    """Needs a device of its own: fails while another one is loaded, as when memory runs out."""

    others: tuple[Mean, ...] = ()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        if any(other.loaded for other in self.others):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().forward(windows)


def test_too_little_memory_is_a_sentence() -> None:
    encoder = Full("big")
    encoder.others = (encoder,)
    with DeviceQueue("cpu") as queue:
        batcher = Batcher(encoder, queue)
        batcher.add("v", 0, 0, window(1))
        batcher.flush()
        with pytest.raises(DeviceError, match="big: cpu has too little free memory for a batch of 4"):
            list(batcher.encoded(wait=True))


def test_encoders_that_do_not_fit_together_go_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, big, c = Mean("a"), Mean("b"), Full("big"), Mean("c")
    big.others = (a, b)
    monkeypatch.setattr("evals.encoders.device._refuses_memory", lambda device: True)
    with DeviceQueue("cpu") as queue:
        assert queue.groups({"a": a, "b": b, "big": big, "c": c}) == [["a", "b"], ["big", "c"]]
        assert not any(e.loaded for e in (a, b, big, c))
        assert queue.groups({"a": a}) == [["a"]] and queue.groups({}) == [[]]
        big.others = (big,)
        with pytest.raises(DeviceError, match="big"):
            queue.groups({"a": a, "big": big})


def test_exact_precision_is_put_back() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    try:
        with exact():
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.backends.cudnn.enabled and torch.backends.cudnn.deterministic
            assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cudnn.benchmark
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before[0])
    assert torch.backends.cudnn.allow_tf32 == before[1]
