"""A scene to pictures, at any size and frame rate, and to the trajectories behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.video import Frames
from evals.worlds.actors import Actor, Pose
from evals.worlds.brush import SUPERSAMPLE, Camera, Canvas
from evals.worlds.places import PERIOD, TALL, paint
from evals.worlds.stage import Scene, generator_of

_NO_SHADOW = frozenset(
    {"cloud", "riser", "kite", "flutter", "pendulum", "wall", "ramp", "front", "swimmer", "drifter"}
)


def render(scene: Scene, times: Sequence[float], width: int, height: int) -> Iterator[Frames]:
    """One picture (height, width, 3) uint8 for each time in seconds."""
    backdrop = _Backdrop(scene, width, height)
    curve = np.clip(np.arange(256)[:, None] * np.array(scene.light)[None], 0, 255).round().astype(np.uint8)
    for t in times:
        camera = scene.camera(t)
        canvas = Canvas(width, height, camera, backdrop.at(camera))
        posed = [_changed(actor, _posed(scene, actor, t, camera)) for actor in scene.actors]
        if scene.place.style not in ("sky", "under"):
            for actor, pose in posed:
                _cast_shadow(canvas, scene, actor, pose)
        for actor, pose in posed:
            if pose.visible:
                actor.is_.paint(canvas, actor, pose)
        frame = canvas.finished()
        for channel in range(3):
            frame[..., channel] = curve[:, channel][frame[..., channel]]
        yield frame


def trajectories(scene: Scene, times: Sequence[float], width: int, height: int) -> dict[str, dict[str, Any]]:
    """Where every actor truly is: by name, its `kind`, `size` in pixels, and for each time `x`, `y` in
    pixels (from the upper left; the contact with the ground for what stands on it, else the centre),
    `angle` in radians (counter-clockwise) and `visible` (not hidden by a flaw, and inside the picture)."""
    found: dict[str, dict[str, Any]] = {}
    for actor in scene.actors:
        xs, ys, angles, seen = [], [], [], []
        scale = 1.0
        for t in times:
            camera = scene.camera(t)
            pose = _posed(scene, actor, t, camera)
            scale = height / camera.height
            x = (pose.x - camera.x) * scale + width / 2
            y = height / 2 - (pose.y - camera.y) * scale
            xs.append(x)
            ys.append(y)
            angles.append(pose.angle)
            seen.append(bool(pose.visible and 0 <= x < width and 0 <= y < height))
        found[actor.name] = {
            "kind": actor.kind, "size": actor.size * scale, "x": xs, "y": ys, "angle": angles,
                "visible": seen,
        }  # fmt: skip
    return found


def _changed(actor: Actor, pose: Pose) -> tuple[Actor, Pose]:
    """The actor as it is at the time of a pose."""
    if pose.grown == 1.0 and pose.tinted is None:
        return actor, pose
    return replace(actor, size=actor.size * pose.grown, colour=pose.tinted or actor.colour), pose


def _posed(scene: Scene, actor: Actor, t: float, camera: Camera) -> Pose:
    pose = actor.motion(t)
    if scene.period is None or actor.moving:
        return pose
    # What stands still comes by again and again where the camera moves on.
    turns = round((camera.x - pose.x) / scene.period)
    return Pose(**{**vars(pose), "x": pose.x + turns * scene.period})


def _cast_shadow(canvas: Canvas, scene: Scene, actor: Actor, pose: Pose) -> None:
    if actor.is_.family in _NO_SHADOW or not pose.visible:
        return
    if scene.place.style == "water" and actor.action in ("swim", "float", "drift", "fly", "jump"):
        return
    ground = min(actor.depth, scene.place.base + 0.1) if actor.action == "fly" else actor.depth
    if actor.is_.family in ("ball", "box", "cart"):
        ground = scene.place.base
    up = max(0.0, pose.y - ground)
    wide = actor.size * (0.5 if actor.is_.family in ("quadruped", "cart") else 0.3)
    canvas.shadow(pose.x, ground, wide / (1 + 0.25 * up), 0.34 / (1 + 0.8 * up))


class _Backdrop:
    """The painted place, cut out as the camera sees it."""

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self.scene, self.width, self.height = scene, width, height
        start = scene.camera(0.0)
        rng = generator_of("place", scene.seed)
        moves = any(scene.camera(t) != start for t in (0.37, 1.0, 2.3))
        self.scale = height * SUPERSAMPLE / start.height
        if not moves:
            canvas = Canvas(width, height, start)
            paint(scene.place, rng, canvas, None)
            self.still: Frames | None = canvas.image
            return
        self.still = None
        tall = max(TALL, start.height + 1.2)
        seen = start.height * width / height
        period = scene.period or seen + 1.0
        across = round(period * self.scale) + (round(period * self.scale) % 2)
        strip = np.zeros((round(tall * self.scale), across, 3), np.uint8)
        view = Camera(period / 2, tall / 2, tall)
        canvas = Canvas(1, 1, view, strip)
        canvas.scale, canvas.left, canvas.top = self.scale, 0.0, tall
        paint(scene.place, rng, canvas, scene.period)
        copies = 1 if scene.period is None else int(np.ceil(seen / period)) + 1
        self.strip, self.tall = np.concatenate([strip] * copies, 1), tall
        self.shift = -(seen + 1.0) / 2 if scene.period is None else 0.0

    def at(self, camera: Camera) -> Frames:
        """The background as (2 × height, 2 × width, 3); the caller may draw on it."""
        if self.still is not None:
            return self.still.copy()
        size = (self.width * SUPERSAMPLE, self.height * SUPERSAMPLE)
        seen = camera.height * self.width / self.height
        zoom = size[1] / camera.height / self.scale
        left = camera.x - seen / 2 - self.shift
        if self.scene.period is not None:
            left %= PERIOD
        top = self.tall - (camera.y + camera.height / 2)
        matrix = np.array([[1 / zoom, 0, left * self.scale], [0, 1 / zoom, top * self.scale]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(self.strip, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        )


def masks(scene: Scene, t: float, width: int, height: int) -> dict[str, NDArray[np.bool_]]:
    """Which pixels each actor covers at a time, were nothing in front of it."""
    camera, found = scene.camera(t), {}
    for actor in scene.actors:
        canvas = Canvas(width, height, camera)
        canvas.image[:] = (255, 0, 255)
        pose = _posed(scene, actor, t, camera)
        if pose.visible:
            actor.is_.paint(canvas, actor, pose)
        found[actor.name] = np.any(canvas.finished() != np.array([255, 0, 255], np.uint8), axis=-1)
    return found
