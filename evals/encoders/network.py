"""What encoders share: safe ways from weight files to networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.errors import WeightsError

CONFIG, MODEL = "config.json", "model.safetensors"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation that most vision networks were trained with."""


def normalized(windows: Tensor, constants: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET) -> Tensor:
    """(B, T, H, W, 3), 0 to 255, to (B, T, 3, H, W): scaled to [0, 1], less a mean, over a deviation."""
    mean, std = (torch.tensor(v, device=windows.device).view(3, 1, 1) for v in constants)
    return (windows.permute(0, 1, 4, 2, 3).to(torch.float32) / 255 - mean) / std


def state_dict(path: Path, of: str) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file, or from a PyTorch file that holds tensors only (itself or
    under `state_dict`), without the `module.` of data-parallel training. Raises `WeightsError`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
            found = found.get("state_dict", found)
        return {str(name).removeprefix("module."): value for name, value in found.items()}
    except (OSError, SafetensorError, AttributeError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path}: is no state dict of {of}: {_first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - `weights_only` refuses in many ways
        raise WeightsError(f"{path}: cannot be read safely: {_first_line(error)}") from None


def fill(network: torch.nn.Module, state: dict[str, Tensor], path: Path, of: str) -> torch.nn.Module:
    """Put a state dict into a network; every tensor must have its place. Raises `WeightsError`."""
    try:
        found = network.load_state_dict(state, strict=False)
    except (RuntimeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise WeightsError(f"{path}: does not fit {of}: {' '.join(lines[:2]):.300}") from None
    lacks = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if lacks or found.unexpected_keys:
        what = f"it lacks {lacks[0]}" if lacks else f"it holds {found.unexpected_keys[0]}"
        raise WeightsError(f"{path}: does not fit {of}: {what}")
    return network


def config_of(folder: Path, model_type: str) -> dict[str, Any]:
    """`config.json` of a transformers model with weights beside it. Raises `WeightsError`."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["model_type"] != model_type:
            raise ValueError(f"its model_type is {config['model_type']!r}")
        if not (folder / MODEL).is_file():
            raise ValueError("model.safetensors is not there")
        return config
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{folder}: no {model_type} model with config.json and model.safetensors ({error})"
        ) from None


def transformers(needs: str) -> Any:
    """The package, or `WeightsError` with the extra to install."""
    try:
        import transformers as package
    except ImportError:
        raise WeightsError(f"{needs} needs transformers: pip install 't2v-evals[backbones]'") from None
    package.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return package


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return f"{text.splitlines()[0]:.300}"
