"""`i3d`, the TorchScript network that most published FVDs come from, and `i3d-native`, our own."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.jit._fuser import optimized_execution

from evals.encoders.base import Encoder, Setup
from evals.encoders.inflated import EPSILON, InflatedInception
from evals.encoders.network import fill, state_dict
from evals.encoders.protocols import protocol_of
from evals.encoders.published import WEIGHTS, WeightFile, locate
from evals.errors import WeightsError


class _I3D(Encoder):
    """What both share: the protocol and the shape of features."""

    batch = 4
    family: str

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        protocol = protocol_of(name)
        assert protocol is not None
        self.frames, self.resize, self.epsilon = self.clip(protocol.frames), protocol.resize, protocol.epsilon
        self.path = self._weights()
        sha256 = self.hashed(self.path)
        self.spec = self.describe(
            self.family, protocol.version, weights_sha256=sha256, protocol=protocol.name,
            epsilon=protocol.epsilon,
        )  # fmt: skip

    @abstractmethod
    def _weights(self) -> Path:
        """The weight file. Raises `WeightsError`."""

    @abstractmethod
    def _logits(self, videos: Tensor) -> Tensor:
        """(B, 3, T, H, W) from 0 to 255 to (B, 400)."""

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        logits = self._logits(windows.permute(0, 4, 1, 2, 3).to(torch.float32).contiguous())
        return {"features": logits.float()[:, None]}


class ScriptedI3D(_I3D):
    """Logits (400) of the de-facto I3D of FVD, a TorchScript archive that is opened after its hash is right.

    Local weights are that very file; without, the one that `weights fetch i3d` put into its folder. The id
    names the protocol: `i3d` is `i3d:stylegan-v`. Raises `WeightsError`.
    """

    family = "i3d"

    def _weights(self) -> Path:
        return locate("i3d", self.setup.weights)  # an archive is code: nothing opens it before this

    @classmethod
    def published(cls, name: str) -> WeightFile:
        return WEIGHTS["i3d"]

    def _open(self, device: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces the end of TorchScript
            try:
                network = torch.jit.load(str(self.path), map_location=device).eval()  # type: ignore[no-untyped-call]
            except (RuntimeError, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise WeightsError(f"{self.path}: cannot be loaded as TorchScript: {reason:.200}") from None
        if self.epsilon != EPSILON:
            _shift_epsilon(network, self.epsilon, self.name)
        return network

    def _logits(self, videos: Tensor) -> Tensor:
        # Resized already, in the decoder and as the network would; compiled variants could move last bits.
        with optimized_execution(False):
            logits: Tensor = self._network(videos, rescale=True, resize=False, return_features=True)
        return logits


def _shift_epsilon(network: Any, epsilon: float, name: str) -> None:
    """Run an archive's batch norms with another epsilon than the one that is compiled into it: the variances
    take the difference, since only their sum is used. Raises `WeightsError` where it keeps no variances."""
    variances = [value for key, value in network.named_buffers() if key.endswith("running_var")]
    if not variances:
        raise WeightsError(
            f"{name}: its protocol runs batch norm with an epsilon of {epsilon:g}, and this archive's is"
            f" fixed; take {name.replace('i3d', 'i3d-native', 1)} with the port's weights"
        )
    with torch.no_grad():
        for value in variances:
            value += epsilon - EPSILON


class NativeI3D(_I3D):
    """Logits of our own I3D with weights in the common ports' naming, from a state dict (`--weights`).

    A safetensors file, or a PyTorch file that holds tensors only. Raises `WeightsError`.
    """

    family = "i3d-native"

    def _weights(self) -> Path:
        if self.setup.weights is None:
            raise WeightsError(
                f"{self.name} needs a state dict in the naming of the PyTorch ports: --weights"
                f" '{self.name}=PATH'"
            )
        return self.setup.weights

    def _open(self, device: str) -> Any:
        return load_inception(self.path, self.epsilon).to(device).eval()

    def _logits(self, videos: Tensor) -> Tensor:
        logits: Tensor = self._network(videos / 127.5 - 1)
        return logits


def load_inception(path: Path, epsilon: float = EPSILON) -> InflatedInception:
    """Our I3D with the weights of a port's state dict. Raises `WeightsError` for any other file."""
    state = state_dict(path, "I3D")
    if "logits.conv3d.weight" not in state:
        raise WeightsError(f"{path}: is no state dict of I3D: it lacks logits.conv3d.weight")
    network = InflatedInception(int(state["logits.conv3d.weight"].shape[0]), epsilon)
    fill(network, state, path, "I3D")
    return network
