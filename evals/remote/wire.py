"""HTTP with bounds that hold whatever a server does: a total time for every request, a size for every body.

Requests run on an event loop in a thread of its own, so that they can be cancelled at any byte: by their
deadline, and by `stop`. httpx bounds the wait for a byte; a server that sends a byte a second would hold a
request for as long as it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import zlib
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
MOST_BODY = 16 << 20  # of an answer that is not a download, unpacked
MOST_HEADERS = 64  # fields
BLOCK = 1 << 16
GRACE = 10.0  # seconds for a submit whose run is stopped


class TooLarge(httpx.RequestError):
    """A body is larger than it may be."""


class Stopped(httpx.RequestError):
    """The request was cancelled from outside."""


class NotSent(Stopped):
    """The request was cancelled before anything of it was sent."""


class Wire:
    """Connections of one API: opened when they are first used, and again after `close`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: httpx.AsyncClient | None = None
        self._tasks: dict[asyncio.Task[Any], bool] = {}  # and whether it is a submit
        self._sending: dict[asyncio.Task[Any], bool] = {}  # and whether a byte of its request was sent
        self._stopped = False

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer. Raises `httpx.RequestError`; `httpx.ReadTimeout` where it takes
        too long in all."""
        return self._run(self._exchange(request), self.seconds, request.method == "POST")

    def download(self, request: httpx.Request, out: Path, seconds: float, most: int) -> httpx.Response:
        """Send a request and write a 200's body to `out`, as it is sent; of any other the answer is read.
        Raises `httpx.RequestError`."""
        return self._run(self._download(request, out, most), seconds)

    def stop(self) -> None:
        """Cancel what is under way, and a submit a little later: its answer is worth the wait, since the job
        may cost."""
        with self._lock:
            self._stopped = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._cancel, False)
                self._loop.call_soon_threadsafe(self._cancel_later)

    def close(self) -> None:
        """Cancel what is under way and close connections."""
        with self._lock:
            loop, thread, client = self._loop, self._thread, self._client
            self._loop = self._thread = self._client = None
            self._stopped = False
        if loop is None or thread is None:
            return
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(_drained(client), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        if not thread.is_alive():
            loop.close()

    def _cancel(self, submits: bool = True) -> None:
        for task, submit in list(self._tasks.items()):
            if submits or not submit:
                task.cancel()

    def _cancel_later(self) -> None:
        asyncio.get_running_loop().call_later(GRACE, self._cancel)

    def _run(self, work: Coroutine[Any, Any, T], seconds: float, submit: bool = False) -> T:

        async def bounded() -> T:
            task = asyncio.current_task()
            assert task is not None
            self._tasks[task] = submit
            try:
                async with asyncio.timeout(seconds):
                    return await work
            except TimeoutError:
                kind = httpx.ReadTimeout if self._sending.pop(task, False) else httpx.ConnectTimeout
                raise kind(f"took more than {seconds:g} s in all") from None
            except asyncio.CancelledError:
                if self._sending.pop(task, False):
                    raise Stopped("was stopped") from None
                raise NotSent("was stopped before it was sent") from None
            finally:
                self._tasks.pop(task, None)
                self._sending.pop(task, None)

        with self._lock:  # `close` must not end the loop in between
            if self._stopped:
                work.close()
                raise NotSent("was stopped before it was sent")
            future = asyncio.run_coroutine_threadsafe(bounded(), self._opened())
        try:
            return future.result()
        except (CancelledError, asyncio.CancelledError):
            with contextlib.suppress(RuntimeError, ValueError):
                work.close()  # it may never have begun
            raise NotSent("was stopped before it was sent") from None
        except BaseException:  # Ctrl-C: nobody waits for the answer any more
            future.cancel()
            raise

    def _opened(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
            self._thread.start()
        return self._loop

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        if self._client is None:
            waits = httpx.Timeout(self.seconds, connect=20.0)
            limits = httpx.Limits(max_connections=256)
            try:
                self._client = httpx.AsyncClient(timeout=waits, limits=limits, follow_redirects=False)
            except ssl.SSLError as error:
                raise httpx.ConnectError(f"certificates cannot be read: {error}") from None
        request.headers["Accept-Encoding"] = "identity"
        task = asyncio.current_task()

        async def trace(event: str, _: Any) -> None:
            if task is not None and event.endswith("send_request_headers.started"):
                self._sending[task] = True

        sent = _for_async(request)
        sent.extensions = {**sent.extensions, "trace": trace}
        return await self._client.send(sent, stream=True)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        answer = await self._sent(request)
        try:
            body = await _body(answer)
        finally:
            await answer.aclose()
        return _plain(answer, body, request)

    async def _download(self, request: httpx.Request, out: Path, most: int) -> httpx.Response:
        answer = await self._sent(request)
        try:
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if answer.status_code != 200 or kind.startswith("text/") or kind == "application/json":
                return _plain(answer, await _body(answer), request)
            size = 0
            with out.open("wb") as file:
                async for block in answer.aiter_raw(BLOCK):
                    size += file.write(block)
                    if size > most:
                        raise TooLarge(f"the body is larger than {most:,} bytes")
            return _plain(answer, b"", request)
        finally:
            await answer.aclose()


async def _drained(client: httpx.AsyncClient | None) -> None:
    """Cancel everything on this loop, wait for it to end, and close connections."""
    while others := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    if client is not None:
        await client.aclose()
    for _ in range(3):
        await asyncio.sleep(0)  # sockets close in the loop's next rounds


async def _body(answer: httpx.Response) -> bytes:
    """A body, unpacked within its bound. Raises `TooLarge`, or `httpx.DecodingError`."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "deflate"):
        raise httpx.DecodingError(f"the answer is encoded as {encoding:.40}, which was not asked for")
    unpack = None if encoding in ("", "identity") else zlib.decompressobj(47)
    found = bytearray()
    async for block in answer.aiter_raw(BLOCK):
        room = MOST_BODY + 1 - len(found)
        try:
            found += unpack.decompress(block, room) if unpack else block[:room]
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from None
        if len(found) > MOST_BODY:
            raise TooLarge(f"the answer is larger than {MOST_BODY:,} bytes")
        if unpack and unpack.eof:
            break  # whatever follows belongs to nothing
    return bytes(found)


def _for_async(request: httpx.Request) -> httpx.Request:
    """The same request with its body as bytes, which both kinds of client can send."""
    headers = [(k, v) for k, v in request.headers.items() if k.lower() != "transfer-encoding"]
    content = request.read()
    return httpx.Request(
        request.method, request.url, headers=headers, content=content, extensions=request.extensions
    )


def _plain(answer: httpx.Response, body: bytes, request: httpx.Request) -> httpx.Response:
    """An answer whose body is read and not encoded any more."""
    left_out = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(k, v) for k, v in answer.headers.items() if k.lower() not in left_out][:MOST_HEADERS]
    return httpx.Response(answer.status_code, headers=headers, content=body, request=request)


class BoundedTransport(httpx.BaseTransport):
    """A transport for the clients of vendors' SDKs with the same bounds."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._wire.exchange(request)

    def close(self) -> None:
        self._wire.close()
