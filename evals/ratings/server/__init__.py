"""The page on which people vote: on loopback, by link token (the extra `rate`)."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from evals.errors import UsageError
from evals.ratings.desk import Desk, UnknownTrial
from evals.records import Record

STATIC = Path(__file__).with_name("static")
HOST = "127.0.0.1"
MOST_BODY = 10_000  # bytes of a vote
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Ballot(Record):
    """What the page sends."""

    trial: Annotated[str, Field(max_length=64)]
    choice: Literal["left", "right", "tie"]
    seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None


def application(desk: Desk, question: str) -> Any:
    """The ASGI application. Without a rater's token every address is 404."""
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.requests import Request
        from starlette.responses import FileResponse, JSONResponse, Response
        from starlette.routing import Route
    except ImportError:
        raise _missing() from None

    Endpoint = Callable[[Request, str], Awaitable[Response]]

    def known(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            rater = desk.rater(request.path_params["token"])
            found = Response(status_code=404) if rater is None else await endpoint(request, rater)
            found.headers.update(HEADERS)
            return found

        return answer

    async def page(request: Request, rater: str) -> Response:
        return FileResponse(STATIC / "rate.html", media_type="text/html; charset=utf-8")

    async def static(request: Request, rater: str) -> Response:
        name = request.path_params["name"]
        return FileResponse(STATIC / name) if name in ("rate.js", "rate.css") else Response(status_code=404)

    async def trial(request: Request, rater: str) -> Response:
        return JSONResponse({**desk.shown(rater), "question": question})

    async def clip(request: Request, rater: str) -> Response:
        place = desk.file(request.path_params["name"])
        if place is None:
            return Response(status_code=404)
        found = FileResponse(place, media_type="video/mp4", stat_result=place.stat())
        # Starlette's tag is of the file, and would be the same under each of its names.
        found.headers["ETag"] = f'"{request.path_params["name"]}"'
        return found

    async def vote(request: Request, rater: str) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "a vote is sent as application/json"}, 415)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BODY:
                return JSONResponse({"error": "a vote is not so long"}, 413)
        try:
            ballot = _Ballot.model_validate_json(body)
            desk.vote(rater, ballot.trial, ballot.choice, ballot.seconds)
        except ValidationError:
            return JSONResponse({"error": "this is no vote"}, 400)
        except UnknownTrial as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({**desk.shown(rater), "question": question})

    routes = [
        Route("/r/{token}/", known(page)),
        Route("/r/{token}/trial", known(trial)),
        Route("/r/{token}/vote", known(vote), methods=["POST"]),
        Route("/r/{token}/clip/{name}.mp4", known(clip)),
        Route("/r/{token}/{name}", known(static)),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def listen(port: int, strict: bool = True) -> socket.socket:
    """A socket on loopback; port 0 takes a free one, and so does one in use unless `strict`. Raises
    `UsageError`."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        if port and not strict:
            return listen(0)
        raise UsageError(f"--port {port}: {error.strerror}; give another one, or 0 for a free one") from None
    return found


def serve(desk: Desk, question: str, where: socket.socket) -> None:
    """Serve until Ctrl-C. Raises `UsageError` where a package is missing."""
    made = application(desk, question)
    try:
        import uvicorn
    except ImportError:
        raise _missing() from None
    # No access log: it would hold the raters' tokens.
    # A rater looks for minutes: a connection that was closed meanwhile could lose the vote that comes next.
    config = uvicorn.Config(
        made, log_level="warning", access_log=False, server_header=False, lifespan="off",
        timeout_keep_alive=3600, timeout_graceful_shutdown=3,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[where])


def _missing() -> UsageError:
    return UsageError("the rating page needs starlette and uvicorn: pip install 't2v-evals[rate]'")
