"""RAFT as this suite runs it against torchvision's own forward, on the windows of one clip.

    python -m benchmarks.flow [raft-small|raft-large] [--rounds 2]

Both with random weights, on one core, in turns over the same windows of 24 frames of 456 x 256 at 24 fps. The
plain way gives torchvision's network four windows at once, in both directions, and takes the last of its
estimates. Prints seconds of the processor for a window, and how many operations a window launches; views are
left out, since they launch nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torchvision.models import optical_flow

from evals.encoders.device import alike
from evals.encoders.raft import ITERATIONS, pair_flows
from evals.video import FlowPairs

FRAMES, HEIGHT, WIDTH, FPS = 24, 256, 456, 24.0
VIEWS = [
    "alias",
    "as_strided",
    "chunk",
    "contiguous",
    "detach",
    "empty",
    "empty_like",
    "empty_strided",
    "expand",
    "flatten",
    "narrow",
    "permute",
    "reshape",
    "resize_",
    "resolve_conj",
    "result_type",
    "select",
    "set_",
    "slice",
    "split",
    "squeeze",
    "to",
    "transpose",
    "unbind",
    "unsqueeze",
    "view",
]
Way = Callable[[Tensor, Sequence[int]], Tensor]


def moving() -> NDArray[np.float32]:
    """Frames (T, H, W, 3) of a soft pattern that moves."""
    torch.manual_seed(0)
    pattern = functional.avg_pool2d(torch.rand(1, 3, HEIGHT + 80, WIDTH + 120) * 255, 9, 1, 4)[0]
    parts = [pattern[:, 2 * t : 2 * t + HEIGHT, 3 * t : 3 * t + WIDTH] for t in range(FRAMES)]
    return torch.stack(parts).permute(0, 2, 3, 1).numpy()


def ways(arch: str) -> dict[str, tuple[int, Way]]:
    """How many windows at once, and flows of pairs (B, 2, 3, H, W), by the way they are made."""
    network = getattr(optical_flow, arch.replace("-", "_"))(weights=None).eval()

    def plain(pairs: Tensor, _: Sequence[int]) -> Tensor:
        first, last = (pairs / 127.5 - 1).unbind(1)
        both = torch.cat([first, last]), torch.cat([last, first])
        found: Tensor = network(*both, num_flow_updates=ITERATIONS)[-1]
        return found

    def ours(pairs: Tensor, same: Sequence[int]) -> Tensor:
        return pair_flows(network, pairs, same).padded

    return {"plain": (4, plain), "ours": (8, ours)}


def launched(work: Callable[[], object]) -> int:
    """How many operations some work launches."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    mine = [one for one in seen.events() or () if one.name.startswith("aten::")]
    leaves = [one for one in mine if not any(child.name.startswith("aten::") for child in one.cpu_children)]
    return sum(one.name.removeprefix("aten::").removeprefix("_") not in VIEWS for one in leaves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("arch", choices=["raft-small", "raft-large"], nargs="?", default="raft-small")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    frames, windows = moving(), FlowPairs().windows(FRAMES, FPS)
    known, spent = ways(given.arch), dict.fromkeys(ways(given.arch), 0.0)
    operations = dict.fromkeys(known, 0.0)
    for start in range(0, 8 * given.rounds, 8):
        for name, (count, way) in known.items():
            for at in range(start, start + 8, count):
                batch = np.stack([frames[[window[0], window[2]]] for window in windows[at : at + count]])
                pairs = torch.from_numpy(batch).permute(0, 1, 4, 2, 3)

                def work(batch: NDArray[np.float32] = batch, pairs: Tensor = pairs, way: Way = way) -> None:
                    with torch.inference_mode():
                        way(pairs, alike(batch))

                if not operations[name]:
                    operations[name] = launched(work) / count
                started = time.process_time()
                work()
                spent[name] += time.process_time() - started
    seconds = {name: round(total / (8 * given.rounds), 2) for name, total in spent.items()}
    ratio = round(spent["plain"] / spent["ours"], 2)
    print(
        json.dumps({"seconds a window": seconds, "ratio": ratio, "operations a window": operations}, indent=1)
    )


if __name__ == "__main__":
    main()
