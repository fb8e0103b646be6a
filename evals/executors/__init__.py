"""Who runs the work on videos: this machine's processes and device, or a Ray cluster.

An executor gives what it made of each video; committing, journals and reports are the caller's affair, in one
place."""

from evals.executors.base import Executor, Extracted, Problem, Problems, Source, Task
from evals.executors.local import LocalExecutor

__all__ = ["Executor", "Extracted", "LocalExecutor", "Problem", "Problems", "Source", "Task"]
