"""Controls: what a judge answers where the right answer is known."""

from evals.calibration.clips import ControlClip, clips_digest, control_clips
from evals.calibration.measure import calibrate
from evals.calibration.sights import Sights

__all__ = ["ControlClip", "Sights", "calibrate", "clips_digest", "control_clips"]
