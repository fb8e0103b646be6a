"""`runway:MODEL`: Runway's API through its official SDK (the extra `runway`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import Field

from evals.errors import UsageError
from evals.generators.job_options import JobOptions
from evals.generators.jobs import JobGenerator
from evals.records import Request, Spec
from evals.remote.budget import cost_of
from evals.remote.client import NO_REFUSAL, Client, is_refusal, key_from, words_of
from evals.remote.outcomes import JobStatus, Rejected, RemoteJob, Trouble, Unknown
from evals.remote.wire import BoundedTransport

KEY = "RUNWAYML_API_SECRET"
BASE = "https://api.dev.runwayml.com"


class Runway(JobGenerator):
    """A model that Runway serves, its own and others': `runway:gen4.5`, `runway:veo3.1`; the key is
    $RUNWAYML_API_SECRET.

    `--size` becomes its `ratio`, `-o duration=` is in seconds; costs are in its credits. It has no list of
    jobs: a submit whose answer was lost is recorded as `submit outcome unknown`.
    """

    class Options(JobOptions):
        duration: Annotated[int, Field(ge=1, le=60)] = 5
        ratio: str | None = None
        base: str = BASE
        send_seed: bool = True

    accepts: frozenset[str] = frozenset({"width", "height"})

    def __init__(self, argument: str, options: Options) -> None:
        super().__init__(options)
        self._sdk = _package()
        self.model, self.base = argument, options.base
        self._key = key_from(options.key_env, KEY, needed=True)
        # Videos lie elsewhere, at signed addresses that want no key.
        self.http = Client(options.base, "")
        self.label = f"runway:{argument}"
        params = {"model": argument, "duration": options.duration, **self.kept_options()}
        self.spec = Spec(name="runway", version=1, params=params)
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = self._sdk.RunwayML(
                api_key=self._key, base_url=self.base, max_retries=0,
                http_client=httpx.Client(transport=BoundedTransport(self.http.wire)),
            )  # fmt: skip
        return self._client

    def disconnect(self) -> None:
        self.http.close()
        if self._client is not None:
            self._client.close()
            self._client = None

    def submit(self, request: Request, key: str) -> RemoteJob:
        options, asked = self.options, request.settings
        assert isinstance(options, Runway.Options)
        size = f"{asked.width}:{asked.height}" if asked.width and asked.height else "1280:720"
        body: dict[str, Any] = {
            "model": self.model,
            "prompt_text": request.prompt.text,
            "ratio": options.ratio or size,
            "duration": options.duration,
        }
        if options.send_seed:
            body["seed"] = request.seed
        try:
            task = self.client.text_to_video.create(**body)
        except self._sdk.APIStatusError as error:
            raise self._refused(error) from None
        except self._sdk.APIConnectionError as error:
            if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
                raise Rejected("no connection", again=True) from None
            raise Unknown(type(error.__cause__ or error).__name__) from None
        except self._sdk.APIError as error:
            raise Unknown(type(error).__name__) from None
        found = getattr(task, "id", None)
        if not isinstance(found, str) or not found:
            raise Unknown("an answer without a task id")
        return RemoteJob(found)

    def _refused(self, error: Any) -> Rejected | Unknown:
        code, said = int(error.status_code), self._clean(f"HTTP {error.status_code}: {error.body}")
        if code >= 500 or code == 408:
            return Unknown(said)
        if code not in NO_REFUSAL and is_refusal(words_of(error.body)):
            return Rejected(said, again=False, refusal=True)
        after = error.response.headers.get("retry-after", "")
        seconds = float(after) if after.replace(".", "", 1).isdigit() else None
        return Rejected(said, again=code == 429, after=seconds)

    def poll(self, job: RemoteJob) -> JobStatus:
        try:
            task = self.client.tasks.retrieve(job.id)
        except self._sdk.NotFoundError:
            return JobStatus("lost", "the task is lost on the server")
        except self._sdk.APIError as error:
            raise Trouble(
                self._clean(str(getattr(error, "status_code", "") or type(error).__name__))
            ) from None
        cost = getattr(getattr(task, "cost", None), "credits", None)
        cost = cost_of(cost)
        if task.status == "SUCCEEDED":
            urls = tuple(u for u in task.output or () if isinstance(u, str))
            return JobStatus("done", urls=urls, cost=cost, details={"model": self.model})
        if task.status == "FAILED":
            code, words = str(getattr(task, "failure_code", "") or ""), str(getattr(task, "failure", ""))
            refused = code.upper().startswith("SAFETY")
            message = self._clean(f"{code} {words}".strip() or "failed")
            return JobStatus("refused" if refused else "failed", message, cost=cost)
        if task.status == "CANCELLED":
            return JobStatus("failed", "cancelled", cost=cost)
        return JobStatus("waiting")

    def download(self, job: RemoteJob, status: JobStatus, out: Path, seconds: float) -> None:
        if not status.urls:
            raise Trouble("the finished task names no video", expired=True)
        self.http.fetch(status.urls[0], out, seconds)

    def _clean(self, text: str) -> str:
        return self.http.clean(text)


def _package() -> Any:
    try:
        import runwayml
    except ImportError:
        raise UsageError("runway: needs its SDK: pip install 't2v-evals[runway]'") from None
    return runwayml
