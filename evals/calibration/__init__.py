"""Controls: what a judge answers where the right answer is known."""

from evals.calibration.clips import ControlClip, clips_of, simulated_clips
from evals.calibration.measure import calibrate

__all__ = ["ControlClip", "calibrate", "clips_of", "simulated_clips"]
