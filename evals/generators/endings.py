"""What a job came to, as the generation that is recorded."""

from __future__ import annotations

from typing import Any

from evals.errors import Reason
from evals.generators.base import Generation, failed, refused
from evals.remote.outcomes import UNKNOWN, JobStatus, RemoteJob


def late(job: RemoteJob, why: str) -> Generation:
    """The job stays open in the log: the same command asks for it again."""
    message = f"the deadline has passed: {why}"
    return failed(Reason.TIME_LIMIT, message, transient=True, job_id=job.id)


def stopped(job_id: str | None = None) -> Generation:
    return failed(Reason.STOPPED, "the run was stopped", transient=True, job_id=job_id)


def ended(job: RemoteJob, status: JobStatus) -> Generation:
    """What a job came to that ended without a video."""
    message = status.message or f"the job is {status.state}"
    more: dict[str, Any] = {"cost": status.cost, "job_id": job.id, "details": status.details}
    if status.state == "refused":
        return refused(message, **more)
    return failed(Reason.JOB_LOST if status.state == "lost" else Reason.JOB_FAILED, message, **more)


def reported(end: dict[str, Any]) -> Generation:
    """The generation of a job's end as the log has it."""
    return Generation(
        end.get("status", "failed"), reason=Reason(end.get("reason") or Reason.SUBMIT_UNKNOWN),
        message=end.get("message", UNKNOWN), cost=end.get("cost"), job_id=end.get("job"),
        details=end.get("details") or {},
    )  # fmt: skip
