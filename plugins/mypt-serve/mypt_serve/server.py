"""Run the application with uvicorn, which is told to be neither slow to close nor talkative."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mypt.plugins import ConfigError, Problem
from mypt_serve.api.errors import CLOSE, ApiError
from mypt_serve.api.forms import to_json
from mypt_serve.gate import respond

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from mypt_serve.settings import Limits

GRACE_S = 5
_SPARE_CONNECTIONS, _HEADER_BYTES = 64, 32 * 1024


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: Its name or number.
        port: Its port; 0 for one that is free.

    Raises:
        ConfigError: The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        what = f"cannot be listened at: {error.strerror or error}"
        fix = "choose another one with --host and --port (0 takes one that is free)"
        raise ConfigError(Problem("", f"{host}:{port}", what, fix, kind="serve")) from error
    return listener


def make_server(app: ASGIApp, limits: Limits) -> Server:
    """Return a server for an application.

    Args:
        app: The application.
        limits: How many connections there may be, and how long the headers of a request may take.
    """
    chosen = {
        "headers_s": limits.headers_s,
        "most_connections": min(limits.connections, _count_open_files() // 2),
    }
    config = uvicorn.Config(
        app,
        http=type("Protocol", (ImpatientProtocol,), chosen),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE_S,
        backlog=_SPARE_CONNECTIONS,  # as many are accepted before one of them is looked at
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the gate says what fails
    return Server(config)


if sys.platform == "win32":

    def _count_open_files() -> int:
        """Return how many files the C library opens by default; Windows sets no limit."""
        return 512

else:

    def _count_open_files() -> int:
        """Return how many files this process may have open."""
        import resource

        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Server(uvicorn.Server):
    """A server that ends by SIGTERM and Ctrl-C, without an error."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at the first signal; those that come later end without waiting for anything."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def refuse_connection(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that there are too many connections."""
    message = "The server is busy: too many connections are open. Try again later."
    headers = {"Retry-After": "1", **CLOSE}
    error = ApiError(503, message, code="too_many_connections", headers=headers)
    await respond(error)(scope, receive, send)


class ImpatientProtocol(H11Protocol):
    """Closes a connection that takes too long to say what it asks for.

    Attributes:
        headers_s: Seconds in which the headers of a request have to arrive.
        most_connections: Connections that are served; some more are told that there are too many,
            and those beyond are closed, so that there are always files left to open.
    """

    headers_s = 10.0
    most_connections = 512
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        others = len(self.connections) - 1
        if others >= self.most_connections + _SPARE_CONNECTIONS:
            transport.abort()
        if others >= self.most_connections:
            self.app = refuse_connection
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Wait no more where the headers are there."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, if some of it has come."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_idle = self.conn.their_state is h11.IDLE
        waits_for_next = self.timeout_keep_alive_task is not None
        if not is_idle or waits_for_next:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.headers_s, self._close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._timer = None
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the form of all errors."""
        self._stop()
        body = to_json(ApiError(400, msg, code="invalid_http").body)
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        headers += [("connection", "close")]
        events: list[Any] = [
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
