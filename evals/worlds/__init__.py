"""Simulated worlds: scenes drawn from a prompt's annotations, with real physics and known trajectories."""

from evals.worlds.film import Film
from evals.worlds.flaws import FLAWS
from evals.worlds.stage import check

__all__ = ["FLAWS", "Film", "check"]
