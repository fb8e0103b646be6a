"""What an encoder is: a network on the device that turns windows of frames into features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evals.encoders.hub import HubModel
from evals.encoders.published import WeightFile
from evals.errors import DoesNotApply, WeightsError
from evals.records import Spec
from evals.runs.features import Features
from evals.runs.files import HashedFile
from evals.video import FirstFrames, FrameSelection, Resize

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "bf16"]
Start = Literal["first", "random"]


@dataclass(frozen=True)
class Setup:
    """How an encoder is to be made: `weights`, a local file or folder instead of the published ones;
    `precision` of its network; `start`, where the window of one that takes a single clip begins."""

    weights: Path | None = None
    precision: Precision = "fp32"
    start: Start = "first"


class Encoder(ABC):
    """A network on the device.

    A subclass sets in `__init__`: `frames`, which frames make a window; `resize`, their size; `batch`, how
    many windows it takes at once; then `spec = self.describe(...)`, which holds all that shapes its numbers.
    One whose `forward` takes `alike` as well says `each_frame_once`. Files are hashed by `hashed`, so that
    another file in the place of one is refused when it is loaded. `_network` is there after `load`, on
    `_device`, until `unload`."""

    spec: Spec
    frames: FrameSelection
    resize: Resize
    batch: int = 8
    each_frame_once: bool = False
    _network: Any = None
    _device: str | None = None

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        """`name` is the id in a metric's brackets. Finds and hashes weights; loads no network. Raises
        `WeightsError`."""
        self.name, self.setup = name, setup or Setup()
        self._files: list[HashedFile] = []

    def hashed(self, path: Path) -> str:
        """The SHA-256 of a file that shapes the numbers, for the spec. Raises `WeightsError`."""
        try:
            file = HashedFile.of(path)
        except OSError as error:
            raise WeightsError(f"weights of {self.name}: {path}: {error.strerror}") from None
        self._files.append(file)
        return file.sha256

    @classmethod
    def published(cls, name: str) -> WeightFile | HubModel | None:
        """What `weights fetch` downloads for an id; None where nothing is published or needed."""
        return None

    def describe(self, family: str, version: int, **params: Any) -> Spec:
        """The spec: `params` beside frames, size, precision and batch."""
        shape = {"frames": self.frames.to_json(), "resize": self.resize.to_json()}
        how = {"precision": self.setup.precision, "batch": self.batch}
        return Spec(name=family, version=version, params={**params, **shape, **how})

    def clip(self, frames: int = 16) -> FirstFrames:
        """A selection of one clip that starts where the setup says."""
        return FirstFrames(frames=frames, start=self.setup.start)

    def load(self, device: str) -> None:
        """Bring the network onto the device; called before every batch, so cheap where it is there. Raises
        `WeightsError` where a file is not the one that was hashed any more."""
        if self._device == device:
            return
        network = self._open(device)
        for file in self._files:
            if not file.is_unchanged():
                raise WeightsError(
                    f"{file.path}: was replaced or written to while the command ran, so its values would"
                    " stand under the hash of another network; run the command again, on a copy of the file"
                )
        self._network, self._device = network, device

    def unload(self) -> None:
        """Free the network; `load` brings it back."""
        self._network = self._device = None

    @abstractmethod
    def _open(self, device: str) -> Any:
        """The network on a device, ready to be called. Raises `WeightsError`."""

    def encode(self, windows: Tensor, alike: Sequence[int] | None = None) -> Mapping[str, Tensor]:
        """(batch, T, H, W, 3) from 0 to 255, uint8 or float32 as `resize.dtype` says, on the device, to
        arrays by name, each float32 (batch, T', d). `alike` names for each of the batch * T frames the first
        one that is equal, so that an encoder can compute once what depends on a frame alone; features are
        the same without it.

        `features` is what distances are measured on. Optional: `joint`, in the space of the text side where
        that is another one; `distance` (batch, 1, 1), how far a window is from what the encoder was made for,
        above 1 where its numbers mean nothing.
        """
        import torch

        from evals.encoders.exact import exact

        once = self.each_frame_once and alike is not None
        of: Any = self.forward
        forward = partial(of, alike=alike) if once else of
        with torch.inference_mode(), exact():
            if self.setup.precision == "fp32":
                return dict(forward(windows))
            with torch.autocast(windows.device.type, torch.bfloat16):
                return {name: value.float() for name, value in forward(windows).items()}

    @abstractmethod
    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        """What `encode` gives, at the precision that `encode` has set."""


class TextEncoder(Encoder):
    """An encoder that also has a text side in the same space."""

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> Sequence[Features | DoesNotApply]:
        """For each text `features` (or `joint`) (1, d) float32 and `truncated` (1,) int64, 1 where words were
        cut; or why the encoder has no features for it."""


class CrossEncoder(TextEncoder):
    """One whose text features depend on the video, and so exist for both together only."""

    @abstractmethod
    def cross(self, video: Features, text: Features) -> Features:
        """`cosine` (1,) from a video's stored features and a text's; cheap, on the CPU."""
