"""On what a run was made, as far as it decides whether the same seed gives the same video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.gate.records import Platform
from evals.runs.info import RunInfo

HARDWARE = {"cuda": "gpu", "driver": "driver", "cuda_version": "cuda"}
ENGINES = (
    "torch", "diffusers", "transformers", "accelerate", "xformers", "flash-attn", "triton", "vllm",
    "vllm-omni", "sglang", "tensorrt",
)  # fmt: skip
"""Packages whose version decides which bits come out."""
FLAGS = (
    "dtype", "precision", "quantization", "quantisation", "attention", "attn", "attention_backend", "cache",
    "compile", "vae_tiling", "offload", "parallel", "engine", "gpu", "batch",
)  # fmt: skip
"""Options of generators that choose kernels and number formats."""


def platform_of(info: RunInfo, given: Mapping[str, str] | None = None) -> Platform:
    """A run's platform, from its provenance and its generator's options; `given` adds to it or replaces
    parts, such as the GPU of a server."""
    found: Platform = {}
    provenance = info.generated
    if provenance is not None:
        hardware = provenance.hardware
        for key, name in HARDWARE.items():
            if hardware.get(key):
                found[name] = _text(hardware[key])
        if "gpu" not in found and hardware.get("processor"):
            found["processor"] = _text(hardware["processor"])
        found |= {name: provenance.versions[name] for name in ENGINES if name in provenance.versions}
    params: dict[str, Any] = {**info.generator.params}
    arguments = params.pop("arguments", {})
    if isinstance(arguments, Mapping):
        params |= arguments
    found |= {name: _text(params[name]) for name in FLAGS if params.get(name) is not None}
    return {**found, **(given or {})}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(dict.fromkeys(str(one) for one in value))
    return str(value)
