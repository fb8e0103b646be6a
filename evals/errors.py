"""Every exception this package raises on purpose.

::

    EvalsError                     exit code 2 unless noted
    ├── UsageError                 an option, key or combination that cannot work
    │   └── UnknownName            a metric, encoder, generator, suite … nobody registered
    ├── InputError                 a file the user wrote is wrong; names file and line
    │   ├── PromptError
    │   ├── ManifestError
    │   ├── ConfigError
    │   └── StatisticsError        a reference file
    ├── RunError                   a run folder cannot be used as asked
    │   ├── RunMismatch            another generator or other settings live there
    │   ├── RunLocked              another process writes to it
    │   └── SchemaTooNew           written by a later version
    ├── WeightsError               a weight file is missing, wrong or of another architecture
    ├── DeviceError                the device has too little memory or cannot be used
    ├── MetricError                a statistic cannot be computed from what it was given
    │   └── OutOfDomain            too many videos are unlike what the encoder was made for
    └── SampleError                costs one sample, never the run
        ├── VideoError             the file is no usable video
        ├── CannotDraw             a simulated world cannot show what the prompt asks for
        ├── DoesNotApply           a metric or view has no meaning for this video: skipped, final
        └── DecoderDied            the decoder process crashed or ran past a limit
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class EvalsWarning(UserWarning):
    """Something the user should know that stops nothing."""


class EvalsError(Exception):
    """Base of all errors raised on purpose; the message says what, where and what to do."""

    exit_code = 2


class UsageError(EvalsError):
    """An option, key or combination of them that cannot work."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint `; did you mean 'x'?` for a misspelt name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


class UnknownName(UsageError):
    """A name that no table knows; the message lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        listed = ", ".join(known) if known else "none"
        super().__init__(f"unknown {kind} {name!r}{nearest(name, known)} (known: {listed}){hint}")


class InputError(EvalsError):
    """A file that the user wrote is wrong."""

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        super().__init__(where + message)
        self.path, self.line = path, line


class PromptError(InputError):
    """A prompt file breaks the format."""


class ManifestError(InputError):
    """A folder's manifest breaks the format."""


class ConfigError(InputError):
    """A configuration or suite file breaks the format."""


class StatisticsError(InputError):
    """A file of reference statistics is damaged, or of another tool."""


class RunError(EvalsError):
    """A run folder cannot be used as asked."""


class RunMismatch(RunError):
    """The folder holds a run of another generator or of other settings."""


class RunLocked(RunError):
    """Another process is writing to the run folder."""


class SchemaTooNew(RunError):
    """A record was written by a later version of this package."""


class WeightsError(EvalsError):
    """A weight file is missing, has the wrong hash or belongs to another architecture."""


class DeviceError(EvalsError):
    """The device has too little memory for an encoder, or cannot be used."""


class MetricError(EvalsError):
    """A statistic cannot be computed from what it was given."""


class OutOfDomain(MetricError):
    """Too many videos are unlike anything the encoder was made for: a distance would mean nothing."""


class SampleError(EvalsError):
    """Costs one sample. `transient` tells whether trying again may help."""

    transient = False


class VideoError(SampleError):
    """The file is not a usable video."""


class CannotDraw(SampleError):
    """A simulated world cannot show what a prompt asks for."""


class DoesNotApply(SampleError):
    """A metric or a normalisation has no meaning for this video."""


class DecoderDied(SampleError):
    """The decoder process crashed, hung or ran past a limit."""

    def __init__(self, message: str, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient
