"""`openrouter:MODEL`: OpenRouter's video API."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from evals.generators.job_options import JobOptions
from evals.generators.jobs import JobGenerator
from evals.records import Request, Spec
from evals.remote.budget import cost_of
from evals.remote.client import Client, is_refusal, key_from, words_of
from evals.remote.outcomes import JobStatus, RemoteJob, Trouble, Unknown

BASE, KEY = "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"
FAILED = {"failed", "cancelled", "expired"}


class OpenRouter(JobGenerator):
    """A hosted model through OpenRouter: `openrouter:google/veo-3.1`; the key is $OPENROUTER_API_KEY.

    `--size` becomes a resolution and an aspect ratio, `-o duration=` is in seconds. It reports what a video
    cost. It has no list of jobs: a submit whose answer was lost is recorded as `submit outcome unknown`.
    """

    class Options(JobOptions):
        duration: Annotated[float, Field(gt=0, le=600)] | None = None
        base: str = BASE
        send_seed: bool = True
        poll: Annotated[float, Field(gt=0, le=3600)] = 10.0

    accepts: frozenset[str] = frozenset({"width", "height"})

    def __init__(self, argument: str, options: Options) -> None:
        super().__init__(options)
        self.model = argument
        self.http = Client(options.base, key_from(options.key_env, KEY, needed=True))
        self.label = f"openrouter:{argument}"
        self.spec = Spec(name="openrouter", version=1, params={"model": argument, **self.kept_options()})

    def disconnect(self) -> None:
        self.http.close()

    def submit(self, request: Request, key: str) -> RemoteJob:
        options = self.options
        assert isinstance(options, OpenRouter.Options)
        body: dict[str, Any] = {"model": self.model, "prompt": request.prompt.text}
        if options.duration is not None:
            body["duration"] = options.duration
        width, height = request.settings.width, request.settings.height
        if width and height:
            shared = gcd(width, height)
            body["resolution"] = f"{min(width, height)}p"
            body["aspect_ratio"] = f"{width // shared}:{height // shared}"
        if options.send_seed:
            body["seed"] = request.seed
        answer = self.http.submit(f"{self.http.base}/videos", {"Idempotency-Key": key}, json=body)
        if not isinstance(answer.get("id"), str) or not answer["id"]:
            raise Unknown("an answer without a job id")
        place = answer.get("polling_url")
        return RemoteJob(answer["id"], {"polling_url": place} if isinstance(place, str) else {})

    def poll(self, job: RemoteJob) -> JobStatus:
        place = job.extra.get("polling_url") or f"{self.http.base}/videos/{job.id}"
        answer = self.http.get(self.http.url(place))
        if answer is None:
            return JobStatus("lost", "the job is lost on the server")
        state = str(answer.get("status", "")).lower()
        usage = answer.get("usage")
        cost = usage.get("cost") if isinstance(usage, dict) else None
        cost = cost_of(cost)
        details = {k: answer[k] for k in ("model", "provider") if isinstance(answer.get(k), str)}
        if state == "completed":
            lists = [answer.get(name) for name in ("unsigned_urls", "urls")]
            urls = tuple(u for found in lists if isinstance(found, list) for u in found if isinstance(u, str))
            return JobStatus("done", urls=urls, cost=cost, details=details)
        if state in FAILED:
            said = answer.get("error")
            said = said.get("message") if isinstance(said, dict) else said
            refused = is_refusal(words_of({"error": answer.get("error")}) or str(said))
            message = self.http.clean(str(said or state))
            return JobStatus("refused" if refused else "failed", message, cost=cost, details=details)
        return JobStatus("waiting")

    def download(self, job: RemoteJob, status: JobStatus, out: Path, seconds: float) -> None:
        if not status.urls:
            raise Trouble("the finished job names no video", expired=True)
        self.http.fetch(self.http.url(status.urls[0]), out, seconds)
