"""Published weight files: where they come from, what they must be, and where they lie.

Only `t2v-evals weights fetch` downloads. A file counts only with its SHA-256, which is checked before
anything else reads it; a file put there by hand is as good as a fetched one. The folder is
`$T2V_EVALS_WEIGHTS`, else `t2v-evals/weights` in the user's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from evals.errors import UnknownName, WeightsError
from evals.records import file_sha256

VARIABLE = "T2V_EVALS_WEIGHTS"


@dataclass(frozen=True)
class WeightFile:
    """One published file. `sha256` is of its bytes, whose number is `size`. PyTorch's own files are
    published with the first 8 digits of their hash, which are what is checked, and about how many
    `megabytes` they have; then `size` is 0."""

    name: str
    file: str
    url: str
    size: int
    sha256: str
    licence: str
    use: str
    megabytes: int = 0

    @property
    def path(self) -> Path:
        """Where it lies, or is to lie."""
        return folder() / self.file

    @property
    def shown_size(self) -> str:
        """Its size for people; empty where it is not known."""
        if self.size >= 1e5:
            return f"{self.size / 1e6:{',.0f' if self.size >= 1e8 else '.3g'}} MB"
        if self.size:
            return f"{self.size / 1e3:.3g} kB"
        return f"about {self.megabytes} MB" if self.megabytes else ""

    def is_here(self) -> bool:
        return self.path.exists()


WEIGHTS: dict[str, WeightFile] = {
    w.name: w
    for w in (
        WeightFile(
            "i3d",
            "i3d_torchscript.pt",
            "https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/main/i3d_torchscript.pt",
            51_235_320,
            "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
            "Apache-2.0 (DeepMind's kinetics-i3d)",
            "encoder i3d: the FVD of the literature",
        ),
        WeightFile(
            "videomae",
            "vit_g_hybrid_pt_1200e_ssv2_ft.pth",
            "https://huggingface.co/OpenGVLab/VideoMAE2/resolve/97d119d270aca7a1217fff7f413c0c543eb325d9/"
            "mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth",
            2_023_804_201,
            "5a210a92f035dff30c53b46157b612e7a1a5d3c99700e1b2d71da5c399ca7e70",
            "CC-BY-NC-4.0 (VideoMAE V2)",
            "encoder videomae: content-debiased FVD",
        ),
        WeightFile(
            "aesthetic",
            "sa_0_4_vit_l_14_linear.pth",
            "https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth",
            4_071,
            "2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
            "MIT (LAION)",
            "metric aesthetic: the head on CLIP ViT-L/14",
        ),
        WeightFile(
            "raft-small",
            "raft_small_C_T_V2-01064c6d.pth",
            "https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth",
            0,
            "01064c6d",
            "BSD-3-Clause (torchvision)",
            "encoder raft-small: optical flow",
            4,
        ),
        WeightFile(
            "raft-large",
            "raft_large_C_T_V1-22a6c225.pth",
            "https://download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
            0,
            "22a6c225",
            "BSD-3-Clause (RAFT's authors, ported by torchvision)",
            "encoder raft-large: optical flow, raft-things",
            21,
        ),
        WeightFile(
            "alexnet",
            "alexnet-owt-7be5be79.pth",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            0,
            "7be5be79",
            "BSD-3-Clause (torchvision)",
            "encoder lpips-alex: the trunk of LPIPS",
            244,
        ),
    )
}


def folder() -> Path:
    """The folder of weight files."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    except RuntimeError:
        raise WeightsError(f"this user has no home folder; say where weights lie: set {VARIABLE}") from None
    return Path(cache) / "t2v-evals" / "weights"


def entry(name: str) -> WeightFile:
    """A row of the table. Raises `UnknownName`."""
    if name not in WEIGHTS:
        raise UnknownName("weight file", name, WEIGHTS)
    return WEIGHTS[name]


def verify(path: Path, wanted: WeightFile) -> None:
    """Raises `WeightsError` unless a file has the size and hash it must have."""
    try:
        size = path.stat().st_size
        found = file_sha256(path) if wanted.size in (0, size) else ""
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None
    if wanted.size not in (0, size):
        raise WeightsError(f"{path}: has {size:,} bytes, {wanted.name} has {wanted.size:,}; delete it")
    if not found.startswith(wanted.sha256):
        raise WeightsError(
            f"{path}: its SHA-256 is {found[:12]}…, that of {wanted.name} is {wanted.sha256[:12]}…; it was"
            " not opened. Delete it and fetch it again"
        )


def locate(name: str, given: Path | None = None) -> Path:
    """A verified file: the one given, or the one in the folder. Raises `WeightsError` with what to do."""
    wanted = entry(name)
    path = given or wanted.path
    if given is None and not path.exists():
        raise WeightsError(
            f"the weights of {name} are not here; `t2v-evals weights fetch {name}` fetches them"
            f" ({', '.join(filter(None, (wanted.shown_size, wanted.licence)))}), or put {wanted.file} into"
            f" {folder()}"
        )
    verify(path, wanted)
    return path
