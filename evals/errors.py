"""Every exception this package raises on purpose, and the codes that say why something is missing.

::

    EvalsError                     exit code 2 unless noted
    ├── UsageError                 an option, key or combination that cannot work
    │   └── UnknownName            a metric, encoder, generator, suite … nobody registered
    ├── InputError                 a file the user wrote is wrong; names file and line
    │   ├── PromptError
    │   ├── ManifestError
    │   ├── ConfigError
    │   ├── StatisticsError        a reference file
    │   ├── BaselineError          a gate's baseline file
    │   └── LabelsError            people's labels or votes
    ├── RunError                   a run folder cannot be used as asked
    │   ├── RunMismatch            another generator or other settings live there
    │   ├── RunLocked              another process writes to it
    │   ├── OutsideRun             it names a file outside of itself, and somebody else recorded it
    │   └── OtherSchema            written by another version of this package
    ├── StoreError                 an object store does not answer, or refuses
    ├── WeightsError               a weight file is missing, wrong or of another architecture
    ├── DeviceError                the device has too little memory or cannot be used
    ├── MetricError                a statistic cannot be computed from what it was given
    │   └── OutOfDomain            too many videos are unlike what the encoder was made for
    └── SampleError                costs one sample, never the run; carries a `Reason`
        ├── VideoError             the file is not a usable video
        │   └── FileUnavailable    it is gone, or another one than was recorded
        ├── CannotDraw             a simulated world cannot show what the prompt asks for
        ├── DoesNotApply           a metric or normalization has no meaning for this video: skipped, final
        ├── NoAnswer               a judge gave no answer that can be used
        └── DecoderDied            the decoder process crashed or ran past a limit
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """Why a sample, score, distance or verdict is missing. Code decides by these; sentences are for
    people."""

    # A generator made no video.
    REFUSED = "refused"
    GENERATOR_ERROR = "generator_error"
    BAD_OUTPUT = "bad_output"
    NO_OUTPUT = "no_output"
    TIME_LIMIT = "time_limit"
    STOPPED = "stopped"
    UNUSABLE_PROMPT = "unusable_prompt"
    CANNOT_DRAW = "cannot_draw"
    REWRITE_FAILED = "rewrite_failed"
    # A job API made no video.
    REJECTED = "rejected"
    SUBMIT_UNKNOWN = "submit_unknown"
    BUDGET = "budget"
    JOB_FAILED = "job_failed"
    JOB_LOST = "job_lost"
    DOWNLOAD_FAILED = "download_failed"
    # A folder has no usable clip.
    NO_CLIP = "no_clip"
    AMBIGUOUS_CLIP = "ambiguous_clip"
    FILE_MISSING = "file_missing"
    FILE_CHANGED = "file_changed"
    FILE_UNREADABLE = "file_unreadable"
    # A file is not a usable video.
    UNREADABLE_VIDEO = "unreadable_video"
    EMPTY_FILE = "empty_file"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FRAMES = "no_frames"
    TRUNCATED = "truncated"
    DAMAGED_FRAME = "damaged_frame"
    UNSUPPORTED_DISPLAY = "unsupported_display"
    SIZE_CHANGES = "size_changes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_STALLED = "decoder_stalled"
    DECODER_TIME_LIMIT = "decoder_time_limit"
    DECODER_MEMORY = "decoder_memory"
    DECODER_ERROR = "decoder_error"
    # A metric or normalization does not apply to a video.
    TOO_FEW_FRAMES = "too_few_frames"
    TOO_SHORT = "too_short"
    FRAME_RATE_TOO_LOW = "frame_rate_too_low"
    TOO_SMALL = "too_small"
    NOTHING_VISIBLE = "nothing_visible"
    OUT_OF_DOMAIN = "out_of_domain"
    NO_TRACK = "no_track"
    NO_FEATURES = "no_features"
    DOES_NOT_APPLY = "does_not_apply"
    # Two videos are no pair.
    OTHER_SIZE = "other_size"
    OTHER_LENGTH = "other_length"
    OTHER_RATE = "other_rate"
    # A metric does not apply to a prompt.
    PROMPT_EXCLUDES = "prompt_excludes"
    UNKNOWN_WORDS = "unknown_words"
    NO_OTHER_PROMPT = "no_other_prompt"
    NO_KNOWN_SUBJECT = "no_known_subject"
    NO_PROMPT_TEXT = "no_prompt_text"
    NO_QUESTIONS = "no_questions"
    # A judge gave no answer that can be used.
    JUDGE_UNAVAILABLE = "judge_unavailable"
    JUDGE_REJECTED = "judge_rejected"
    ANSWER_REFUSED = "answer_refused"
    ANSWER_TRUNCATED = "answer_truncated"
    ANSWER_EMPTY = "answer_empty"
    ANSWER_UNPARSABLE = "answer_unparsable"
    NO_PROBABILITIES = "no_probabilities"
    OTHER_MODEL = "other_model"
    # A component failed.
    EXTRACTOR_ERROR = "extractor_error"
    METRIC_ERROR = "metric_error"
    WORKER_LOST = "worker_lost"
    # Nothing was recorded.
    NEVER_GENERATED = "never_generated"
    NOT_SCORED = "not_scored"
    # Two runs cannot be compared, or the data cannot decide.
    OTHER_NORMALIZATION = "other_normalization"
    OTHER_METRIC_VERSION = "other_metric_version"
    OTHER_EXTRACTOR = "other_extractor"
    NO_SHARED_PROMPT = "no_shared_prompt"
    NO_SHARED_SCORE = "no_shared_score"
    LOW_COVERAGE = "low_coverage"
    TOO_FEW_PROMPTS = "too_few_prompts"
    TOO_FEW_VIDEOS = "too_few_videos"
    UNDECIDED = "undecided"
    MISSING_MAY_MATTER = "missing_may_matter"
    LESS_MOTION = "less_motion"
    LESS_SHARPNESS = "less_sharpness"
    NOTHING_VARIES = "nothing_varies"
    NO_MARGIN = "no_margin"
    JUDGE_UNPINNED = "judge_unpinned"
    JUDGE_UNCALIBRATED = "judge_uncalibrated"
    JUDGE_FAILED = "judge_failed"
    OTHER_PLATFORM = "other_platform"
    NO_CLIPS = "no_clips"


BECAUSE_OF_THE_PROMPT = frozenset({
    Reason.PROMPT_EXCLUDES, Reason.UNKNOWN_WORDS, Reason.NO_OTHER_PROMPT, Reason.NO_KNOWN_SUBJECT,
    Reason.NO_PROMPT_TEXT, Reason.NO_QUESTIONS,
})  # fmt: skip
"""Reasons to skip that no video could help: they cost a model nothing. Any other is the video's."""


_MACHINE = {
    errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO,
    errno.ETXTBSY,
}  # fmt: skip


def is_machine_fault(error: BaseException) -> bool:
    """Whether an error says that the machine is short of something (memory, files, processes, disk), which is
    no sample's fault: the sample may be tried again."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _MACHINE


class EvalsWarning(UserWarning):
    """Something the user should know that stops nothing."""


class EvalsError(Exception):
    """Base of all errors raised on purpose; the message says what, where and what to do.

    `code` names the kind of error for programs.
    """

    exit_code = 2
    code: str = "error"


class UsageError(EvalsError):
    """An option, key or combination of them that cannot work."""

    code = "usage"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint `; did you mean 'x'?` for a misspelt name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


class UnknownName(UsageError):
    """A name that no table knows; the message lists the nearest ones."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        listed = ", ".join(known) if known else "none"
        super().__init__(f"unknown {kind} {name!r}{nearest(name, known)} (known: {listed}){hint}")


class InputError(EvalsError):
    """A file that the user wrote is wrong."""

    code = "input"

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        super().__init__(where + message)
        self.path, self.line = path, line


class PromptError(InputError):
    """A prompt file breaks the format."""

    code = "prompt_file"


class ManifestError(InputError):
    """A folder's manifest breaks the format."""

    code = "manifest"


class ConfigError(InputError):
    """A configuration or suite file breaks the format."""

    code = "config"


class StatisticsError(InputError):
    """A file of reference statistics is damaged, or of another tool."""

    code = "reference_file"


class BaselineError(InputError):
    """A gate's baseline file is missing, damaged or cannot be made."""

    code = "baseline"


class LabelsError(InputError):
    """A file of people's labels or votes breaks the format."""

    code = "labels"


class RunError(EvalsError):
    """A run folder cannot be used as asked."""

    code = "run"


class RunMismatch(RunError):
    """The folder holds a run of another generator or of other settings."""

    code = "run_mismatch"


class RunLocked(RunError):
    """Another process is writing to the run folder."""

    code = "run_locked"


class OutsideRun(RunError):
    """A run that somebody else made names a file outside of itself."""

    code = "outside_run"


class OtherSchema(RunError):
    """A record was written by another version of this package."""

    code = "other_schema"


class StoreError(EvalsError):
    """An object store does not answer, or refuses; the message names the file."""


class WeightsError(EvalsError):
    """A weight file is missing, has the wrong hash or belongs to another architecture."""

    code = "weights"


class DeviceError(EvalsError):
    """The device has too little memory for an encoder, or cannot be used."""

    code = "device"


class MetricError(EvalsError):
    """A statistic cannot be computed from what it was given. `reason` says which kind of obstacle it is."""

    code = "metric"
    reason = Reason.METRIC_ERROR

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason


class OutOfDomain(MetricError):
    """Too many videos are unlike anything the encoder was made for: a distance would mean nothing."""

    reason = Reason.OUT_OF_DOMAIN


class SampleError(EvalsError):
    """Costs one sample. `reason` is the code to record; `transient` tells whether trying again may help."""

    code = "sample"
    reason = Reason.GENERATOR_ERROR
    transient = False

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason


class VideoError(SampleError):
    """The file is not a usable video."""

    reason = Reason.UNREADABLE_VIDEO


class FileUnavailable(VideoError):
    """A recorded file is gone, cannot be read, or is another one now; it may come back."""

    reason = Reason.FILE_MISSING
    transient = True


class CannotDraw(SampleError):
    """A simulated world cannot show what a prompt asks for."""

    reason = Reason.CANNOT_DRAW


class DoesNotApply(SampleError):
    """A metric or a normalization has no meaning for this video."""

    reason = Reason.DOES_NOT_APPLY


class NoAnswer(SampleError):
    """A judge gave no answer that can be used."""

    reason = Reason.ANSWER_UNPARSABLE

    def __init__(self, message: str, reason: Reason | None = None, transient: bool = False) -> None:
        super().__init__(message, reason)
        self.transient = transient


class DecoderDied(SampleError):
    """The decoder process crashed, stopped responding or ran past a limit."""

    reason = Reason.DECODER_CRASHED

    def __init__(self, message: str, transient: bool, reason: Reason | None = None) -> None:
        super().__init__(message, reason)
        self.transient = transient
