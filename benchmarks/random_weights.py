"""Weight files with random numbers, for timing what published ones cost.

    python -m benchmarks.random_weights DIR

Writes the backbones of `standard` and prints the options that use them; I3D is our own network, since the
published archive cannot be imitated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import open_clip
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import optical_flow

from evals.encoders.dino import MODELS
from evals.encoders.inflated import InflatedInception
from evals.metrics import suites


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    networks = {
        "ViT-B-32-quickgelu/openai": open_clip.create_model("ViT-B-32-quickgelu"),
        "dino": timm.create_model(MODELS["dino"], pretrained=False, num_classes=0),
        "raft-small": optical_flow.raft_small(weights=None),
        "i3d-native": InflatedInception(400),
    }
    given = []
    for name, network in networks.items():
        path = folder / f"{name.replace('/', '-')}.safetensors"
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
        given.append(f"--weights '{name}={path}'")
    metrics = ",".join(suites.load("standard").metrics).replace("[i3d]", "[i3d-native]")
    print(f"--metrics '{metrics}' {' '.join(given)}")


if __name__ == "__main__":
    main()
