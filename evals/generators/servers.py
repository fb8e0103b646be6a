"""Several servers of one model: the least busy one gets the next job, and every job stays with its server."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from evals.errors import UsageError
from evals.remote.client import Client
from evals.remote.outcomes import RemoteJob, Trouble

MARK = "server"
ASIDE = 30.0  # seconds for which a server gets no job after one failed


class Servers:
    """Clients of one API at several addresses. With more than one, a job's id begins with its server's
    address, as two servers may give two jobs one id."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self.clients = list(clients)
        bases = [client.base for client in clients]
        if len(set(bases)) < len(bases):
            raise UsageError(f"{', '.join(bases)}: a server is given twice")
        self.name = ",".join(bases)
        self._busy = dict.fromkeys(bases, 0)
        self._aside = dict.fromkeys(bases, 0.0)
        self._open: set[str] = set()
        self._lock = threading.Lock()

    def least_busy(self) -> Client:
        """The server with the fewest jobs under way, which is counted as having one more; one that has just
        failed only where all have."""
        with self._lock:
            now = time.monotonic()
            found = min(self.clients, key=lambda c: (self._aside[c.base] > now, self._busy[c.base]))
            self._busy[found.base] += 1
            return found

    def failed(self, client: Client, aside: bool = True) -> None:
        """A job that was counted did not come to be; `aside`: the server is left alone for a while."""
        with self._lock:
            self._busy[client.base] = max(0, self._busy[client.base] - 1)
            if aside:
                self._aside[client.base] = time.monotonic() + ASIDE

    def took(self, number: str, client: Client) -> RemoteJob:
        """The job that a server took."""
        found = self.job(number, client)
        with self._lock:
            self._open.add(found.id)
        return found

    def job(self, number: str, client: Client) -> RemoteJob:
        """A job that a server lists."""
        if len(self.clients) == 1:
            return RemoteJob(number)
        return RemoteJob(f"{client.base}#{number}", {MARK: client.base})

    def of(self, job: RemoteJob) -> tuple[Client, str]:
        """A job's server and its id there. Raises `Trouble` for a server that is not among them."""
        if len(self.clients) == 1 and MARK not in job.extra:
            return self.clients[0], job.id
        base = str(job.extra.get(MARK, ""))
        for client in self.clients:
            if client.base == base:
                return client, job.id.removeprefix(f"{base}#")
        raise Trouble(f"the job's server, {base or 'unknown'}, is not among those given")

    def follows(self, job: RemoteJob) -> None:
        """A job is under way: one that was taken just now, or one of an earlier start."""
        with self._lock:
            if job.id not in self._open:
                self._open.add(job.id)
                base = str(job.extra.get(MARK, self.clients[0].base))
                self._busy[base] = self._busy.get(base, 0) + 1

    def ended(self, job: RemoteJob) -> None:
        """A job is not under way any more; called again for the same one it changes nothing."""
        with self._lock:
            if job.id in self._open:
                self._open.discard(job.id)
                base = str(job.extra.get(MARK, self.clients[0].base))
                self._busy[base] = max(0, self._busy.get(base, 0) - 1)
