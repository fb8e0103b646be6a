"""The device's side of a pass: windows of many videos through encoders, in batches of fixed shapes.

A thread of its own feeds the device, so that decoding goes on meanwhile. A batch holds windows of one size
and is padded to the encoder's number of them, so a window's features don't depend on the other windows. At
most `AHEAD` batches are under way: whoever adds another waits, the decoders' sockets fill, and memory stays
bounded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evals.encoders.base import Encoder
from evals.errors import DeviceError

if TYPE_CHECKING:
    from torch import Tensor

AHEAD = 2
SAMPLED = 997  # every so many values of a frame tell most frames apart
SHAPES = 4  # sizes of windows that may wait for company at a time

Arrays = Mapping[str, NDArray[np.float32]]
Fetch = Callable[[], Arrays]


def actual(device: str) -> str:
    """`auto` is `cuda` where there is one, else `cpu`."""
    import torch

    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Encoded:
    """Features of one window; `owner`, `attempt` and `number` are what it was added with."""

    owner: Hashable
    attempt: int
    number: int
    features: dict[str, NDArray[np.float32]]


class DeviceQueue:
    """A device and the thread that feeds it; use as a context manager."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.busy = 0.0  # seconds the thread has worked
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._under_way: deque[Future[Fetch]] = deque()

    def __enter__(self) -> DeviceQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def submit(self, encoder: Encoder, batch: NDArray[Any]) -> Future[Fetch]:
        """Start a batch, once fewer than `AHEAD` are under way."""
        while len(self._under_way) >= AHEAD:
            self._under_way.popleft().result()()
        future = self._thread.submit(self._work, encoder, batch)
        self._under_way.append(future)
        return future

    def groups(self, encoders: Mapping[str, Encoder]) -> list[list[str]]:
        """Names of the encoders that fit onto the device together, group by group, tried with an empty
        batch. Of several groups none stays loaded. Raises `DeviceError` for one that does not fit alone."""
        return self._thread.submit(self._groups, encoders).result()

    def _groups(self, encoders: Mapping[str, Encoder]) -> list[list[str]]:
        if len(encoders) < 2:
            return [list(encoders)]
        self.device = actual(self.device)
        if not _refuses_memory(self.device):
            return [list(encoders)]
        found: list[list[str]] = [[]]
        for name, encoder in encoders.items():
            shape = (encoder.batch, encoder.frames.length, *encoder.resize.largest, 3)
            while True:
                try:
                    self._work(encoder, _trial(shape, encoder.resize.dtype))()
                    break
                except DeviceError:
                    if not found[-1]:
                        raise
                    unload(*(encoders[n] for n in (*found[-1], name)))
                    found.append([])
            found[-1].append(name)
        if len(found) > 1:
            unload(*(encoders[n] for n in found[-1]))
        return found

    def _work(self, encoder: Encoder, batch: NDArray[Any]) -> Fetch:
        import torch

        started = time.perf_counter()
        try:
            self.device = actual(self.device)
            encoder.load(self.device)
            if torch.device(self.device).type == "cuda":
                return _on_cuda(encoder, batch, self.device)
            windows = torch.from_numpy(batch).to(self.device)
            encoded = encoder.encode(windows, alike(batch) if encoder.each_frame_once else None)
            found = {name: _numpy(value) for name, value in encoded.items()}
            return lambda: found
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{encoder.spec.name}: {self.device} has too little free memory for a batch of"
                f" {encoder.batch} ({str(error).splitlines()[0]:.200}); free some, or use another --device"
            ) from None
        finally:
            self.busy += time.perf_counter() - started


def _trial(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Windows of this shape whose frames are all different."""
    found = np.zeros(shape, dtype)
    frames = found.reshape(-1, *shape[2:])
    frames[:, 0, 0, 0] = np.arange(len(frames))
    return found


def _refuses_memory(device: str) -> bool:
    """Whether a request for too much memory fails; on a CPU the machine swaps, or ends the process."""
    return device != "cpu"


def unload(*encoders: Encoder) -> None:
    """Free what encoders hold on the device."""
    import torch

    for encoder in encoders:
        encoder.unload()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _on_cuda(encoder: Encoder, batch: NDArray[Any], device: str) -> Fetch:
    """Copies run beside computing, through pinned memory; the caller waits where it needs the features."""
    import torch

    with torch.cuda.device(device):
        computing, copying = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(copying):
            windows = torch.from_numpy(batch).pin_memory().to(device, non_blocking=True)
        computing.wait_stream(copying)
        windows.record_stream(computing)
        host = {}
        same = alike(batch) if encoder.each_frame_once else None  # here, so that nothing waits for the device
        for name, value in encoder.encode(windows, same).items():
            encoded = value.float().contiguous()
            host[name] = torch.empty(encoded.shape, dtype=encoded.dtype, pin_memory=True)
            host[name].copy_(encoded, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()

    def fetch() -> Arrays:
        done.synchronize()
        return {name: value.numpy() for name, value in host.items()}

    return fetch


def alike(batch: NDArray[Any]) -> list[int]:
    """For each frame of windows (B, T, H, W, 3), counted through, the first one that is equal to it."""
    frames = np.ascontiguousarray(batch).reshape(-1, *batch.shape[2:])
    seen: dict[bytes, list[int]] = {}  # by some of a frame's values
    found = []
    for number, frame in enumerate(frames):
        candidates = seen.setdefault(frame.ravel()[::SAMPLED].tobytes(), [])
        same = next((n for n in candidates if np.array_equal(frames[n], frame)), number)
        if same == number:
            candidates.append(number)
        found.append(same)
    return found


def _numpy(value: Tensor) -> NDArray[np.float32]:
    return np.asarray(value.float().cpu().numpy(), np.float32)


_Window = tuple[Hashable, int, int, NDArray[Any]]


class Batcher:
    """One encoder's windows on a device queue."""

    def __init__(self, encoder: Encoder, queue: DeviceQueue) -> None:
        self._encoder, self._queue = encoder, queue
        self._waiting: dict[tuple[int, ...], list[_Window]] = {}  # by shape
        self._under_way: deque[tuple[Future[Fetch], list[tuple[Hashable, int, int]]]] = deque()

    def add(self, owner: Hashable, attempt: int, number: int, window: NDArray[Any]) -> None:
        """Take a window (T, H, W, 3); a full batch of one shape is started, and the oldest part-filled one
        where too many shapes wait."""
        waiting = self._waiting.setdefault(window.shape, [])
        waiting.append((owner, attempt, number, window))
        if len(waiting) == self._encoder.batch:
            self._start(window.shape)
        elif len(self._waiting) > SHAPES:
            self._start(next(iter(self._waiting)))

    def flush(self) -> None:
        """Start what waits."""
        for shape in list(self._waiting):
            self._start(shape)

    def _start(self, shape: tuple[int, ...]) -> None:
        """Start the windows of one shape, padded to the batch's."""
        windows = self._waiting.pop(shape)
        batch = np.zeros((self._encoder.batch, *shape), windows[0][3].dtype)
        for i, (*_, window) in enumerate(windows):
            batch[i] = window
        whose = [(owner, attempt, number) for owner, attempt, number, _ in windows]
        self._under_way.append((self._queue.submit(self._encoder, batch), whose))

    def encoded(self, wait: bool = False) -> Iterator[Encoded]:
        """Features of the batches that are through, in order; of all of them with `wait`."""
        while self._under_way and (wait or self._under_way[0][0].done()):
            future, whose = self._under_way.popleft()
            encoded = future.result()()
            for i, (owner, attempt, number) in enumerate(whose):
                yield Encoded(owner, attempt, number, {k: v[i].copy() for k, v in encoded.items()})
