"""`diffusers:MODEL`: any text-to-video pipeline of diffusers, by hub id or local folder (the extra
`diffusion`)."""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from evals.errors import DeviceError, Reason, SampleError, UsageError, WeightsError, nearest
from evals.generators import scalar
from evals.generators.base import Generation, Generator
from evals.generators.frames import as_frames, write
from evals.records import Record, Request, Settings, Spec, digest, file_sha256

log = logging.getLogger(__name__)

# What pipelines call the same thing, in the order in which they are tried.
ALIASES: dict[str, tuple[str, ...]] = {
    "width": ("width",),
    "height": ("height",),
    "frames": ("num_frames", "video_length", "frames"),
    "fps": ("frame_rate", "fps"),
    "steps": ("num_inference_steps",),
    "guidance": ("guidance_scale",),
    "negative_prompt": ("negative_prompt",),
}
OURS = {"prompt", "generator", "output_type", "return_dict"}
# The rate at which a pipeline's frames are meant to be shown, as its documentation's examples export them:
# its output does not say.
PLAYED_AT = {
    "CogVideoXPipeline": 8.0, "HunyuanVideoPipeline": 15.0, "LTXPipeline": 24.0, "LattePipeline": 8.0,
    "MochiPipeline": 30.0, "SanaVideoPipeline": 16.0, "WanPipeline": 16.0, "AllegroPipeline": 15.0,
    "CosmosTextToWorldPipeline": 30.0, "EasyAnimatePipeline": 8.0, "SkyReelsV2Pipeline": 24.0,
    "TextToVideoSDPipeline": 8.0, "AnimateDiffPipeline": 8.0,
}  # fmt: skip


class Diffusers(Generator):
    """A pipeline of diffusers: `diffusers:Wan-AI/Wan2.1-T2V-1.3B-Diffusers`, or a folder as it saves them.

    Arguments of its call are given by `-o KEY=VALUE`, under their own names or ours (`steps`, `guidance`,
    `negative_prompt`; `--size`, `--frames`, `--fps` come from the run), and refused where the pipeline has no
    such argument. Every video has a `torch.Generator` of its own with its seed. Frames are written by the
    suite's own encoder. Needs the extra `diffusion`.
    """

    class Options(Record):
        """`dtype` of the weights; `device`; `offload` to the CPU by model or layer; `vae_tiling`; `compile`
        the transformer; `batch`: prompts at once, one by one where memory is short; `play_fps` where neither
        the run nor the pipeline's documentation says; `revision` of the hub; `crf` of H.264."""

        dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
        device: str = "auto"
        offload: Literal["none", "model", "sequential"] = "none"
        vae_tiling: bool = False
        compile: bool = False
        batch: Annotated[int, Field(ge=1, le=64)] = 1
        play_fps: Annotated[float, Field(gt=0, le=1000)] | None = None
        revision: str | None = None
        crf: Annotated[int, Field(ge=0, le=51)] = 18

    takes_others = True

    def __init__(self, argument: str, options: Options, extra: Mapping[str, str] | None = None) -> None:
        self.folder = _folder(argument, options.revision)
        self.kind = _kind(self.folder)
        self.options, self.batch = options, options.batch
        self.known = _arguments(self.kind)
        self.extra = self._bound({k: scalar(v) for k, v in (extra or {}).items()})
        self.accepts = frozenset(n for n in ("width", "height", "frames") if self._name(n)) | {"fps"}
        self.label = f"diffusers:{Path(argument).name or argument}"
        params = {
            "model": argument if not Path(argument).is_dir() else self.folder.name,
            "pipeline": self.kind,
            "weights": _weights(self.folder),
            "diffusers": _package().__version__,
            "dtype": options.dtype,
            "batch": options.batch,
            "compile": options.compile,
            "vae_tiling": options.vae_tiling,
            "arguments": self.extra,
            "crf": options.crf,
            "play_fps": options.play_fps or PLAYED_AT.get(self.kind, 8.0),
        }
        self.spec = Spec(name="diffusers", version=1, params=params)
        self._pipeline: Any = None

    def _name(self, ours: str) -> str | None:
        """What this pipeline calls something of ours."""
        return next((name for name in ALIASES.get(ours, (ours,)) if name in self.known), None)

    def _bound(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments under the pipeline's names. Raises `UsageError` for those it doesn't have."""
        found = {}
        for key, value in given.items():
            name = self._name(key)
            if name is None or key in OURS:
                known = sorted(set(self.known) - OURS | {k for k in ALIASES if self._name(k)})
                raise UsageError(f"-o {key}: {self.kind} has no such argument{nearest(key, known)}")
            if name in found:
                raise UsageError(f"-o {key}: {name} is given twice")
            found[name] = value
        return found

    def generate(self, request: Request, out: Path) -> Generation:
        return self.generate_batch([request], [out])[0]

    def generate_batch(self, requests: Sequence[Request], outs: Sequence[Path]) -> list[Generation]:
        """Several prompts in one call, each with its own seed."""
        import torch

        pipeline = self._load()
        device = self.device()
        asked = requests[0].settings
        arguments = {**self.extra, **self._asked(asked)}
        # On the CPU, so that what is drawn does not depend on the device.
        seeds = [torch.Generator("cpu").manual_seed(r.seed % 2**63) for r in requests]
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)
        try:
            with torch.inference_mode():
                found = pipeline(
                    prompt=[r.prompt.text for r in requests], generator=seeds, output_type="np", **arguments
                ).frames
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            message = f"too little memory for {len(requests)} at once: {str(error).splitlines()[0]:.200}"
            raise SampleError(message) from None
        details: dict[str, Any] = {"pipeline": self.kind}
        if device.startswith("cuda"):
            details["peak_memory"] = int(torch.cuda.max_memory_allocated(device))
        if len(found) != len(requests):
            raise SampleError(
                f"the pipeline gave {len(found)} videos for {len(requests)} prompts", Reason.BAD_OUTPUT
            )
        fps = asked.fps or self.options.play_fps or PLAYED_AT.get(self.kind, 8.0)
        made = []
        for frames, out in zip(found, outs, strict=True):
            write(out, as_frames(frames), fps, self.options.crf)
            made.append(Generation("ok", out, details=details))
        return made

    def _asked(self, settings: Settings) -> dict[str, Any]:
        """The run's settings under the pipeline's names; the frame rate only where it has one."""
        found = {k: v for k, v in settings.model_dump().items() if v is not None}
        return {name: value for key, value in found.items() if (name := self._name(key)) is not None}

    def device(self) -> str:
        """Where the pipeline runs."""
        import torch

        given = self.options.device
        return given if given != "auto" else "cuda" if torch.cuda.is_available() else "cpu"

    def _load(self) -> Any:
        if self._pipeline is not None:
            return self._pipeline
        import torch

        package = _package()
        package.utils.logging.disable_progress_bar()
        _quiet_transformers()
        kind, options = getattr(package, self.kind), self.options
        log.info("loading %s from %s", self.kind, self.folder)
        try:
            with warnings.catch_warnings():
                # Newer versions call it `dtype`; those that are still served know `torch_dtype` alone.
                warnings.filterwarnings("ignore", "`torch_dtype` is deprecated", FutureWarning)
                pipeline = kind.from_pretrained(
                    self.folder, torch_dtype=getattr(torch, options.dtype), local_files_only=True
                )
        except Exception as error:
            raise WeightsError(
                f"{self.folder}: cannot be loaded as {self.kind}: {str(error)[:300]}"
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        if options.vae_tiling:
            if not hasattr(getattr(pipeline, "vae", None), "enable_tiling"):
                raise UsageError(f"-o vae_tiling: {self.kind}'s VAE cannot tile")
            pipeline.vae.enable_tiling()
        try:
            if options.offload == "model":
                pipeline.enable_model_cpu_offload(device=self.device())
            elif options.offload == "sequential":
                pipeline.enable_sequential_cpu_offload(device=self.device())
            else:
                pipeline.to(self.device())
        except (RuntimeError, ValueError) as error:
            raise DeviceError(f"{self.label}: {self.device()}: {str(error).splitlines()[0]:.300}") from error
        if options.compile:
            part = "transformer" if hasattr(pipeline, "transformer") else "unet"
            setattr(pipeline, part, torch.compile(getattr(pipeline, part)))
        self._pipeline = pipeline
        return pipeline

    def close(self) -> None:
        """Free the pipeline and what it holds on the device."""
        self._pipeline = None
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _package() -> Any:
    try:
        import diffusers
    except ImportError:
        raise UsageError("diffusers: needs packages: pip install 't2v-evals[diffusion]'") from None
    return diffusers


def _quiet_transformers() -> None:
    """No progress bars of its text encoder's either."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _folder(argument: str, revision: str | None) -> Path:
    """The pipeline's folder: a local one, or the hub's, which is fetched where it is not cached."""
    path = Path(argument).expanduser()
    if path.is_dir():
        return path.resolve()
    if argument.startswith((".", "/", "~")) or argument.count("/") != 1:
        raise UsageError(f"diffusers:{argument}: no such folder, and no hub id (OWNER/NAME)")
    _package()
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(argument, revision=revision, allow_patterns=PARTS))
    except Exception as error:
        raise WeightsError(
            f"diffusers:{argument}: is not in the hub's cache and cannot be fetched ({type(error).__name__})"
        ) from error


PARTS = ["*.json", "*.txt", "*.model", "*.safetensors", "*.jinja"]


def _kind(folder: Path) -> str:
    """The pipeline's class by its `model_index.json`. Raises `WeightsError`."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        kind = str(index["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{folder}: is no pipeline: its model_index.json cannot be read ({error})"
        ) from None
    if not hasattr(_package(), kind):
        raise WeightsError(f"{folder}: is a {kind}, which diffusers {_package().__version__} does not have")
    return kind


def _arguments(kind: str) -> tuple[str, ...]:
    """What a pipeline's call takes. Raises `UsageError` for one that takes no prompt."""
    found = tuple(inspect.signature(getattr(_package(), kind).__call__).parameters)[1:]
    if "prompt" not in found or ("image" in found and "num_frames" not in found):
        raise UsageError(f"diffusers: {kind} makes no video from a prompt")
    return found


def _weights(folder: Path) -> str:
    """What shapes a pipeline's numbers: the hub's commit, or a hash of a local folder's files."""
    if folder.parent.name == "snapshots":
        return folder.name
    kept = {".json", ".safetensors", ".bin", ".txt", ".model"}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in kept)
    return digest({str(p.relative_to(folder)): file_sha256(p) for p in files})
