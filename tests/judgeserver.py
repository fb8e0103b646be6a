"""A loopback server of `/v1/chat/completions` with judges of known behaviour, which fails on demand.

The model's name says which judge answers: `looker` looks at colour and motion, `yes` says yes to everything,
`coin` guesses. A question says how it fails: `… [judge=429*2]`. Counts are by (question, seed), so they go on
over restarts of the client."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from evals.video import Frames, encode
from tests.videoserver import Handler, World

COLOURS = {
    "red": (220, 30, 30), "green": (30, 190, 30), "blue": (30, 60, 230), "yellow": (230, 220, 30),
    "purple": (150, 40, 190), "white": (245, 245, 245), "orange": (250, 140, 20), "cyan": (20, 210, 220),
}  # fmt: skip
DATE = "2025-01-01"


def disc(colour: str, frames: int = 16, step: float = 3.0) -> Frames:
    """A disc of a colour that moves to the right over grey (48, 80)."""
    clip = []
    for t in range(frames):
        picture = np.full((48, 80, 3), 110, np.uint8)
        cv2.circle(picture, (round(12 + t * step), 24), 9, COLOURS[colour], -1)
        clip.append(picture)
    return np.stack(clip)


def write_discs(
    folder: Path,
    shown: dict[str, str] | None = None,
    extra: Sequence[dict[str, Any]] = (),
    step: float = 3.0,
    frames: int = 16,
    fps: float = 8.0,
) -> Path:
    """A folder of clips with its prompts beside it (`discs.yaml`): for each colour a clip that shows the
    colour in `shown`, its own where that says nothing. `extra` questions belong to every prompt."""
    folder.mkdir(parents=True)
    rows, found = [], []
    for name in COLOURS:
        encode(folder / f"{name}.mp4", disc((shown or {}).get(name, name), frames, step), fps)
        text = f"A {name} disc rolls to the right"
        rows.append({"path": f"{name}.mp4", "prompt": text, "prompt_id": name})
        there = {"id": "there", "kind": "subject", "text": f"Is there a {name} disc in the video?"}
        moves = {
            "id": "moves",
            "kind": "action",
            "text": f"Does the {name} disc move?",
            "depends_on": "there",
        }
        other = next(c for c in COLOURS if c != name)
        no = {"id": "other", "kind": "attribute", "text": f"Is there a {other} disc instead?", "answer": "no"}
        found.append({
            "id": name, "text": text, "motion": "high", "subjects": [{"kind": f"{name} disc"}],
            "questions": [there, moves, no, *(dict(one) for one in extra)],
        })  # fmt: skip
    (folder / "videos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    place = folder.with_name(f"{folder.name}.yaml")
    place.write_text(yaml.safe_dump({"name": folder.name, "prompts": found}))
    return place


class Judges(Handler):
    """The judges."""

    def do_POST(self) -> None:
        raw = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return None
        content = raw["messages"][-1]["content"]
        question = content[-1]["text"]
        self.world.submits[question.partition("\n")[0] + _shown(content), str(raw.get("seed"))] += 1
        fault = self.world.fault("judge", question, str(raw.get("seed")))
        if fault in ("429", "500", "400", "401", "402", "403", "404"):
            after = {"Retry_After": "0.2"} if fault == "429" else {}
            return self.error(int(fault), "not now", **after)
        if fault == "filter":
            return self.error(400, "content_policy_violation", "content_policy_violation")
        if fault == "flagged":
            return self.error(403, "the input was flagged by moderation")
        if fault == "gateway":
            return self.send(200, {"error": {"code": 502, "message": "the provider is away"}})
        if fault == "page":
            return self.send(200, b"<html>Welcome</html>", "text/html")
        if fault == "shape":
            return self.send(200, {"id": "x", "model": raw["model"], "choices": [{"message": "yes"}]})
        if fault == "reset":
            return self.reset()
        if fault == "slow":
            time.sleep(1.5)
        if fault == "garbage":
            return self.send(200, b"{ this is no JSON")
        if "response_format" in raw and raw["model"].startswith("plain"):
            return self.error(400, "response_format is not supported here", "unsupported_parameter")
        return self.send(200, self.answer(raw, content, question, fault))

    def answer(self, raw: dict[str, Any], content: Any, question: str, fault: str) -> dict[str, Any]:
        word = judged(raw["model"], content, question, str(raw.get("seed")))
        if fault == "drift":  # as a model does that answers otherwise each time
            word = {"yes": "no", "no": "yes"}.get(word, "1") if int(raw["seed"]) % 2 else word
        message: dict[str, Any] = {"role": "assistant", "content": json.dumps({"answer": word})}
        end, model = "stop", raw["model"]
        if fault == "malformed":
            message["content"] = '{"answer": '
        elif fault == "other":
            message["content"] = "It is hard to say."
        elif fault == "empty":
            message["content"] = ""
        elif fault == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        elif fault == "cut":
            message["content"], end = '{"ans', "length"
        elif fault == "tool":
            call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
            message |= {"content": None, "tool_calls": [call]}
            end = "tool_calls"
        elif fault == "model":
            model = "another-model"
        choice: dict[str, Any] = {"index": 0, "finish_reason": end, "message": message}
        if raw.get("logprobs") and not raw["model"].startswith("mute"):
            share = {"yes": 0.9, "no": 0.08}[word]
            top = [_token("Yes", share), _token("No", 0.98 - share), _token(" Yes", 0.01)]
            message["content"] = word.capitalize()
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
        usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
        return {
            "id": "x", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
            "usage": usage, "system_fingerprint": "fp",
        }  # fmt: skip


def _token(word: str, share: float) -> dict[str, Any]:
    return {"token": word, "logprob": math.log(share), "bytes": None}


def _shown(content: Any) -> str:
    """What tells questions about other pictures apart."""
    urls = "".join(part["image_url"]["url"] for part in content if part["type"] == "image_url")
    return hashlib.sha256(urls.encode()).hexdigest()[:8]


def _pictures(content: Any) -> list[list[Frames]]:
    """The frames of each video."""
    videos: list[list[Frames]] = []
    for part in content[:-1]:
        if part["type"] == "text" and re.search(r"rame 1 of", part["text"]):
            videos.append([])
        if part["type"] == "image_url":
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert bgr is not None
            videos[-1].append(np.asarray(bgr[..., ::-1], np.uint8))
    return videos


def _places(frames: Sequence[Frames], colour: str) -> list[float]:
    """Where a colour's middle is in each frame that shows it; nowhere for a name that is no colour."""
    found: list[float] = []
    if colour not in COLOURS:
        return found
    for frame in frames:
        mask = np.abs(frame.astype(int) - COLOURS[colour]).max(-1) < 40
        if mask.sum() > 20:
            found.append(float(np.nonzero(mask)[1].mean()))
    return found


def _first_colour(frames: Sequence[Frames]) -> str:
    return max(COLOURS, key=lambda name: len(_places(frames, name)))


def judged(model: str, content: Any, question: str, seed: str) -> str:
    """What a judge says, one of the answers that the question offers."""
    ratings, pair = '"1"' in question, '"first"' in question
    if model.startswith("yes"):
        return "first" if pair else "5" if ratings else "yes"
    if model.startswith("coin"):
        odd = hashlib.sha256((question + _shown(content) + seed).encode()).digest()[0] % 2
        return ("first", "second")[odd] if pair else ("1", "5")[odd] if ratings else ("no", "yes")[odd]
    videos = _pictures(content)
    if pair:
        asked = next((c for c in COLOURS if f"A {c} disc" in question), "")
        there = [len(_places(frames, asked)) > 0 for frames in videos]
        return "equal" if there[0] == there[1] else "first" if there[0] else "second"
    frames = videos[0]
    moved = _places(frames, _first_colour(frames))
    steps = np.diff(moved)
    moves, ordered = bool(np.abs(steps).max(initial=0) > 0.5), bool((steps >= -0.5).all())
    if ratings:
        asked = next((c for c in COLOURS if f"A {c} disc" in question), "")
        if "everyday physics" in question:
            return "5" if ordered else "2"
        return "5" if _places(frames, asked) else "1"
    inner = re.search(r'question about the video: "(.*)"', question)
    said = inner[1] if inner else question
    asked = next((c for c in COLOURS if f"{c} disc" in said), "")
    if "anything in the video move" in said:
        yes = moves
    elif "follow each other" in said:
        yes = ordered and moves
    elif "disc move" in said:
        yes = bool(_places(frames, asked)) and moves
    else:
        yes = bool(_places(frames, asked))
    return "yes" if yes != bool(inner) else "no"


__all__ = ["COLOURS", "DATE", "Judges", "World", "disc", "judged", "write_discs"]
