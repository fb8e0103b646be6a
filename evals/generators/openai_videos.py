"""`openai-videos:MODEL@URL`: the `/v1/videos` protocol, as vLLM-Omni, SGLang, Dynamo and others serve it."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field

from evals.errors import UsageError
from evals.generators.base import Generation, Probe
from evals.generators.job_options import JobOptions
from evals.generators.jobs import JobGenerator
from evals.generators.servers import Servers
from evals.records import Request, Spec
from evals.remote.budget import cost_of
from evals.remote.client import Client, is_refusal, key_from
from evals.remote.outcomes import JobStatus, Rejected, RemoteJob, Trouble, Unknown
from evals.runs.segments import Segments

KEY = "OPENAI_VIDEOS_API_KEY"
DETAILS = ("model", "inference_time_s", "peak_memory_mb", "seconds", "size", "created_at", "completed_at")
PAGES = 50  # of a list that are read
DONE, FAILED = {"completed"}, {"failed", "cancelled", "canceled"}


class OpenAIVideos(JobGenerator):
    """A model behind `POST /v1/videos`: `openai-videos:MODEL@http://127.0.0.1:8000/v1`.

    Sizes, frames, fps and seeds are sent under the names that self-hosted servers know; `-o seconds=`,
    `steps=`, `guidance=` and `negative_prompt=` as well. A key, where one is needed, comes from
    $OPENAI_VIDEOS_API_KEY. The server's list of jobs is asked for submits whose answer was lost. Of several
    servers of one model (`@URL1,URL2`) the least busy one gets the next job.
    """

    class Options(JobOptions):
        seconds: str | None = None
        steps: Annotated[int, Field(ge=1, le=10_000)] | None = None
        guidance: float | None = None
        negative_prompt: str | None = None
        send_seed: bool = True

    accepts: frozenset[str] = frozenset({"width", "height", "frames", "fps"})
    can_list = True

    def __init__(self, argument: str, options: Options) -> None:
        super().__init__(options)
        self.model, at, base = argument.rpartition("@")
        if not at or not self.model:
            raise UsageError(
                f"openai-videos:{argument}: write openai-videos:MODEL@URL, such as"
                " openai-videos:wan@http://127.0.0.1:8000/v1; several servers with commas between them"
            )
        key = key_from(options.key_env, KEY, needed=options.key_env is not None)
        self.servers = Servers([Client(url.strip(), key) for url in base.split(",")])
        self.http = self.servers.clients[0]
        self.label = f"openai-videos:{self.model}"
        params = {"model": self.model, "server": self.servers.name, **self.kept_options()}
        self.spec = Spec(name="openai-videos", version=1, params=params)

    def fields(self, request: Request) -> dict[str, str]:
        """The form that is sent."""
        asked, options = request.settings, self.options
        assert isinstance(options, OpenAIVideos.Options)
        size = f"{asked.width}x{asked.height}" if asked.width and asked.height else None
        found: dict[str, Any] = {
            "prompt": request.prompt.text,
            "model": self.model,
            "size": size,
            "width": asked.width,
            "height": asked.height,
            "num_frames": asked.frames,
            "fps": None if asked.fps is None else f"{asked.fps:g}",
            "seconds": options.seconds,
            "num_inference_steps": options.steps,
            "guidance_scale": options.guidance,
            "negative_prompt": options.negative_prompt,
            "seed": request.seed if options.send_seed else None,
        }
        return {k: str(v) for k, v in found.items() if v is not None}

    def begin(self, segments: Segments, probe: Probe) -> None:
        super().begin(segments, probe)
        for client in self.servers.clients:
            client.wire.seconds = min(client.wire.seconds, self.options.deadline)

    def cancel(self) -> None:
        for client in self.servers.clients:
            client.stop()

    def disconnect(self) -> None:
        for client in self.servers.clients:
            client.close()

    def submit(self, request: Request, key: str) -> RemoteJob:
        form = {name: (None, value) for name, value in self.fields(request).items()}  # multipart, no files
        http = self.servers.least_busy()
        try:
            answer = http.submit(f"{http.base}/videos", {"Idempotency-Key": key}, files=form)
            job = self.servers.took(_id(answer), http)
        except BaseException as error:  # goes on up; a refused prompt is no fault of the server
            self.servers.failed(http, aside=not (isinstance(error, Rejected) and not error.again))
            raise
        return job

    def poll(self, job: RemoteJob) -> JobStatus:
        http, number = self.servers.of(job)
        answer = http.get(f"{http.base}/videos/{quote(number, safe='')}")
        if answer is None:
            return JobStatus("lost", "the job is lost on the server")
        return status_of(answer, http)

    def _follow(self, job: RemoteJob, key: str, out: Path, deadline: float) -> Generation:
        self.servers.follows(job)
        try:
            return super()._follow(job, key, out, deadline)
        finally:
            self.servers.ended(job)

    def download(self, job: RemoteJob, status: JobStatus, out: Path, seconds: float) -> None:
        http, number = self.servers.of(job)
        http.fetch(f"{http.base}/videos/{quote(number, safe='')}/content", out, seconds)

    def clock_ahead(self) -> float | None:
        if len(self.servers.clients) > 1:
            return None  # nobody knows yet which server takes the job
        if self.http.ahead is None:
            with contextlib.suppress(Trouble):
                self.http.get(f"{self.http.base}/videos", params={"limit": "1"})
        return self.http.ahead

    def find(
        self, request: Request, key: str, since: float, surely: float, taken: set[str]
    ) -> RemoteJob | None:
        wanted = self.fields(request)
        listed = [(self.servers.job(j["id"], http), j) for http in self.servers.clients
                  for j in self._listed(http, since)]  # fmt: skip
        found = [(job, j) for job, j in listed if job.id not in taken and _may_be(j, wanted, since)]
        if len(found) > 1:
            raise Unknown(f"{len(found)} jobs on the server could be it")
        for job, one in found:
            if "prompt" not in one:
                raise Unknown("the server's list does not say which prompt a job has")
            if odd := [n for n in wanted if one.get(n) is not None and not _same(one[n], wanted[n])]:
                raise Unknown(f"a job on the server has another {', '.join(odd)}, and could be it")
            if not _may_be(one, wanted, surely):
                raise Unknown("a job on the server is of the same words and seed, and seems a little too old")
            return job
        return None

    def _listed(self, http: Client, since: float) -> list[dict[str, Any]]:
        """All jobs on the server, newest first where it obeys, back to a time. Raises `Trouble`, or `Unknown`
        where the list has no end in sight."""
        found: dict[str, dict[str, Any]] = {}
        after = ""
        for _ in range(PAGES):
            asked = {"limit": "100", "order": "desc", **({"after": after} if after else {})}
            page = http.get(f"{http.base}/videos", params=asked)
            jobs = (page or {}).get("data")
            if page is None or not isinstance(jobs, list):
                raise Unknown("the server does not list jobs")
            jobs = [j for j in jobs if isinstance(j, dict) and isinstance(j.get("id"), str)]
            new = [j for j in jobs if j["id"] not in found]
            found |= {j["id"]: j for j in new}
            if not new or page.get("has_more") is False or _reaches(list(found.values()), since):
                return list(found.values())
            after = jobs[-1]["id"]
        raise Unknown(f"the server's list is longer than {PAGES} pages")


def _reaches(jobs: list[dict[str, Any]], since: float) -> bool:
    """Whether a list that goes backwards in time has come to a time."""
    times = [j.get("created_at") for j in jobs]
    numbers = [t for t in times if isinstance(t, int | float)]
    backwards = len(numbers) == len(times) and all(a >= b for a, b in pairwise(numbers))
    return backwards and numbers[-1] + 1 <= since


def _may_be(job: dict[str, Any], wanted: dict[str, str], since: float) -> bool:
    """Whether a listed job can be one that was sent: not older, and of the same words and seed. Other fields
    a server may have rounded or renamed."""
    created = job.get("created_at")
    if isinstance(created, int | float) and created + 1 <= since:
        return False
    return all(job.get(n) is None or _same(job[n], wanted[n]) for n in ("prompt", "seed") if n in wanted)


def _same(a: Any, b: str) -> bool:
    try:
        return str(a) == b or float(a) == float(b)
    except (TypeError, ValueError):
        return False


def _id(answer: dict[str, Any]) -> str:
    found = answer.get("id")
    if not isinstance(found, str) or not found:
        raise Unknown("an answer without a job id")
    return found


def status_of(answer: dict[str, Any], http: Client) -> JobStatus:
    """A poll's answer in our terms; a state that is not known is waited for."""
    state = str(answer.get("status", "")).lower()
    details = {name: answer[name] for name in DETAILS if isinstance(answer.get(name), str | int | float)}
    if state in DONE:
        usage = answer.get("usage")
        cost = usage.get("cost") if isinstance(usage, dict) else answer.get("cost")
        return JobStatus("done", cost=cost_of(cost), details=details)
    if state in FAILED:
        error = answer.get("error")
        error = error if isinstance(error, dict) else {"message": error or state}
        words = f"{error.get('code') or ''} {error.get('message') or ''}".strip()
        refused = is_refusal(words)
        return JobStatus("refused" if refused else "failed", http.clean(words or state), details=details)
    return JobStatus("waiting", details=details)
