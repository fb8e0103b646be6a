"""Controls: what a judge answers where the right answer is known."""

from evals.calibration.clips import ControlClip, control_clips
from evals.calibration.measure import calibrate
from evals.calibration.sights import Sights

__all__ = ["ControlClip", "Sights", "calibrate", "control_clips"]
