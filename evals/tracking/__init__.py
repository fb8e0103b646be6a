"""Tracks: which detections of different frames are the same thing, and how far that can be believed."""

from evals.tracking.tracks import CONFIDENT, FEW, Scene, Track, scene_of

__all__ = ["CONFIDENT", "FEW", "Scene", "Track", "scene_of"]
