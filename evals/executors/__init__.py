"""Who runs the work: this machine's processes and device, or a Ray cluster.

An executor gives what it made of each video; committing, journals and reports are the caller's affair, in one
place."""

from evals.executors.base import Executor, Extracted, GeneratorRecipe, Problem, Problems, Source, Task
from evals.executors.local import LocalExecutor
from evals.executors.making import Order

__all__ = [
    "Executor",
    "Extracted",
    "GeneratorRecipe",
    "LocalExecutor",
    "Order",
    "Problem",
    "Problems",
    "Source",
    "Task",
]
