"""`fal:APP`: any text-to-video app of fal's queue, through its official SDK (the extra `fal`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from evals.errors import UsageError
from evals.generators import scalar
from evals.generators.job_options import JobOptions
from evals.generators.jobs import JobGenerator
from evals.records import Request, Spec
from evals.remote.client import NO_REFUSAL, Client, is_refusal, key_from, words_of
from evals.remote.outcomes import JobStatus, RemoteJob, Trouble, Unknown
from evals.remote.wire import BoundedTransport

BASE, KEY = "https://queue.fal.run", "FAL_KEY"
PLACES = ("status_url", "response_url", "cancel_url")


class Fal(JobGenerator):
    """An app of fal: `fal:fal-ai/veo3.1`, `fal:fal-ai/kling-video/v3/pro/text-to-video`; the key is $FAL_KEY.

    Arguments differ between apps: `-o KEY=VALUE` sends others beside `prompt` and `seed`
    (`-o aspect_ratio=16:9 -o duration=5`). Jobs are submitted by ourselves, since the SDK repeats a submit
    whose answer was lost; it polls and reads results. No list of jobs: such a submit is recorded as
    `submit outcome unknown`.
    """

    class Options(JobOptions):
        base: str = BASE
        send_seed: bool = True

    takes_others = True

    def __init__(self, argument: str, options: Options, extra: Mapping[str, str] | None = None) -> None:
        super().__init__(options)
        self._sdk = _package()
        self.app = argument.strip("/")
        self._key = key_from(options.key_env, KEY, needed=True)
        self.http = Client(options.base, self._key, scheme="Key")
        self.extra = {k: scalar(v) for k, v in (extra or {}).items()}
        self.label = f"fal:{self.app}"
        params = {"app": self.app, "arguments": self.extra, **self.kept_options()}
        self.spec = Spec(name="fal", version=1, params=params)
        self._client: Any = None

    def submit(self, request: Request, key: str) -> RemoteJob:
        options = self.options
        assert isinstance(options, Fal.Options)
        body = {"prompt": request.prompt.text, **self.extra}
        if options.send_seed:
            body["seed"] = request.seed
        answer = self.http.submit(f"{self.http.base}/{self.app}", json=body)
        found = answer.get("request_id")
        if not isinstance(found, str) or not found:
            raise Unknown("an answer without a request id")
        default = f"{self.http.base}/{self.app}/requests/{found}"
        extra = {
            "response_url": default,
            "status_url": f"{default}/status",
            "cancel_url": f"{default}/cancel",
        }
        extra |= {k: answer[k] for k in PLACES if isinstance(answer.get(k), str)}
        return RemoteJob(found, extra)

    def _handle(self, job: RemoteJob) -> Any:
        """The SDK's handle of a job. The key must go to the API's own origin only. Raises
        `Trouble`."""
        for name in PLACES:
            parts, own = urlsplit(str(job.extra[name])), urlsplit(self.http.base)
            if (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
                raise Trouble(f"the job's {name} is of another origin; the key is not sent there")
        if self._client is None:
            headers = {"Authorization": f"Key {self._key}"}
            self._client = httpx.Client(headers=headers, transport=BoundedTransport(self.http.wire))
        places = {name: job.extra[name] for name in PLACES}
        return self._sdk.SyncRequestHandle(request_id=job.id, client=self._client, **places)

    def disconnect(self) -> None:
        self.http.close()
        if self._client is not None:
            self._client.close()
            self._client = None

    def poll(self, job: RemoteJob) -> JobStatus:
        handle = self._handle(job)
        try:
            status = handle.status()
            if not isinstance(status, self._sdk.Completed):
                return JobStatus("waiting")
            result = handle.get()
        except self._sdk.FalClientHTTPError as error:
            return self._failed(error)
        except (ValueError, KeyError):  # the SDK's word for a state it doesn't know
            return JobStatus("waiting")
        except httpx.HTTPError as error:
            raise Trouble(type(error).__name__) from None
        video = result.get("video") if isinstance(result, dict) else None
        url = video.get("url") if isinstance(video, dict) else None
        if not isinstance(url, str):
            said = str(result.get("error") or result.get("detail") or "") if isinstance(result, dict) else ""
            refused = is_refusal(said)
            message = self.http.clean(said or "the result holds no video")
            return JobStatus("refused" if refused else "failed", message)
        return JobStatus("done", urls=(url,), details={"app": self.app})

    def _failed(self, error: Any) -> JobStatus:
        code, said = int(error.status_code), self.http.clean(f"HTTP {error.status_code}: {error.message}")
        try:
            refused = is_refusal(words_of(error.response.json()))
        except (ValueError, AttributeError):
            refused = False
        if code in (404, 410):
            return JobStatus("lost", "the request is lost on the server")
        if code == 422 or (refused and code not in NO_REFUSAL):
            return JobStatus("refused" if refused else "failed", said)
        if code == 429 or code >= 500 or code == 408:
            raise Trouble(said)
        return JobStatus("failed", said)

    def download(self, job: RemoteJob, status: JobStatus, out: Path, seconds: float) -> None:
        self.http.fetch(status.urls[0], out, seconds)


def _package() -> Any:
    try:
        import fal_client
    except ImportError:
        raise UsageError("fal: needs its SDK: pip install 't2v-evals[fal]'") from None
    return fal_client
