"""What a machine lends to a command: one pool of decoder processes, a device, limits, plugins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals.decoding.pool import Pool, default_workers
from evals.errors import UsageError
from evals.video import Limits


@dataclass
class Resources:
    """Use as a context manager: decoder processes start when they are first needed and end with it.

    `workers` is the number of decoder processes (None: one per core, at most 16), `device` that of encoders
    (`auto`, `cpu`, `cuda`, `cuda:1` …), `plugins` are files that decoder processes load, too.
    """

    workers: int | None = None
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)
    plugins: Sequence[Path] = ()
    _pool: Pool | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Resources:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoder processes; the next use of `pool` starts others."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def pool(self) -> Pool:
        """The one pool of this command."""
        if self._pool is None:
            self._pool = Pool(self.workers, self.limits, self.plugins)
        return self._pool

    @property
    def at_once(self) -> int:
        """How much work that keeps a core busy to do at a time."""
        return self.workers or default_workers()

    def checked_device(self) -> str:
        """The device, once it is known to be usable; `auto` as it is, so that torch is not loaded before
        something is encoded. Raises `UsageError` for a device that isn't there."""
        if self.device == "auto":
            return self.device
        import torch

        try:
            torch.empty(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            message = str(error).splitlines()[0]
            raise UsageError(f"--device {self.device}: cannot be used here: {message:.200}") from None
        return self.device


@dataclass
class Progress:
    """Callbacks for progress: `preflight` is given what a folder holds against what is asked for, as a table;
    `begin` a stage (`plan`, `generate` or `score`) and how many videos it has; `advance` each video that is
    done, with whether something failed."""

    preflight: Callable[[str], None] = lambda table: None
    begin: Callable[[str, int], None] = lambda stage, total: None
    advance: Callable[[bool], None] = lambda failed: None
