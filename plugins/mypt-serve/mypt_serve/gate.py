"""What every request passes before anything else looks at it: who asks, from where, how much."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from mypt_serve.api.errors import CLOSE, ApiError
from mypt_serve.api.forms import to_json
from mypt_serve.log import log_failure
from mypt_serve.settings import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mypt_serve.settings import Access, Limits

# Without a token anybody may see that the server is there, and the page, which says nothing of the
# model until it is given the token.
PUBLIC = ("/", "/health")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PATIENCE_S = 1
_METHODS, _ASKED_HEADERS = "GET, POST", "Authorization, Content-Type"


@frozen
class Gate:
    """Lets requests through to an application, and turns its errors into those of OpenAI's API.

    Attributes:
        app: The application.
        access: Who may ask.
        limits: How much.
    """

    app: ASGIApp
    access: Access
    limits: Limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers, has_begun = Headers(scope=scope), False
        origin = headers.get("origin")

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                self._add_headers(MutableHeaders(scope=message), origin)
            await send(message)

        try:
            if self._is_preflight(scope["method"], headers, origin):
                await Response(status_code=204)(scope, receive, send_on)
                return
            try:
                self._check(scope["path"], headers, origin)
            except ApiError:
                await self._pass_over_body(receive)
                raise
            await self.app(scope, self._limit(receive), send_on)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if has_begun:  # nothing can be said any more; the connection is closed
                raise
            await respond(error)(scope, receive, send_on)

    def _check(self, path: str, headers: Headers, origin: str | None) -> None:
        """Raise if a request may not be made.

        Raises:
            ApiError: It comes for another host or from another page, without the token, or its
                body is too large.
        """
        host = headers.getlist("host")
        if len(host) != 1 or (self.access.is_local and not _is_local_name(host[0], self.access)):
            message = "This server answers to its own address alone, such as localhost."
            raise ApiError(403, message, code="host_not_allowed", headers=CLOSE)
        if origin is not None and not self._is_allowed(origin, host[0]):
            message = "Another web page may not use this server; see --cors_origin."
            raise ApiError(403, message, code="origin_not_allowed", headers=CLOSE)
        if path not in PUBLIC:
            self._check_token(headers.getlist("authorization"))
        length = headers.get("content-length", "0")
        if len(length) > 15 or int(length) > self.limits.body_bytes:
            raise self._explain_size()

    async def _pass_over_body(self, receive: Receive) -> None:
        """Read what a refused request still sends, for a second and up to the limit.

        A connection that is closed before takes the answer with it.
        """
        n_bytes = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while n_bytes <= self.limits.body_bytes:
                    message = await receive()
                    n_bytes += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return

    def _check_token(self, given: list[str]) -> None:
        if self.access.token is None:
            return
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        wanted = self.access.token.encode()
        # Both are looked at, so that the time does not tell which one is wrong.
        is_right = hmac.compare_digest(token.strip().encode("latin-1", "replace"), wanted)
        if scheme.lower() != "bearer" or not is_right:
            message = "Incorrect or missing token: send it as `Authorization: Bearer TOKEN`."
            headers = {"WWW-Authenticate": "Bearer", **CLOSE}
            raise ApiError(401, message, code="invalid_api_key", headers=headers)

    def _is_allowed(self, origin: str, host: str) -> bool:
        return origin in self.access.origins or urlsplit(origin).netloc.lower() == host.lower()

    def _is_preflight(self, method: str, headers: Headers, origin: str | None) -> bool:
        is_asking = method == "OPTIONS" and "access-control-request-method" in headers
        return is_asking and origin in self.access.origins

    def _add_headers(self, headers: MutableHeaders, origin: str | None) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if origin is not None and origin in self.access.origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Methods"] = _METHODS
            headers["Access-Control-Allow-Headers"] = _ASKED_HEADERS
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            headers["Vary"] = "Origin"

    def _limit(self, receive: Receive) -> Receive:
        """Return what receives a body that is neither too large nor too slow."""
        deadline = asyncio.get_running_loop().time() + self.limits.body_s
        n_bytes, is_whole = 0, False

        async def receive_on() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:
                return await receive()  # which waits until the client is gone
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                message_text = f"The body took longer than {self.limits.body_s:g} s to arrive."
                raise ApiError(408, message_text, code="timeout", headers=CLOSE) from None
            n_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_bytes > self.limits.body_bytes:
                raise self._explain_size()
            return message

        return receive_on

    def _explain_size(self) -> ApiError:
        message = f"The body is larger than {self.limits.body_bytes} bytes."
        return ApiError(413, message, code="body_too_large", headers=CLOSE)


def _is_local_name(host: str, access: Access) -> bool:
    """Return whether a `Host` is a name of this machine, so that no page has another one for it."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name == access.host.lower()


def respond(error: Exception) -> Response:
    """Return the answer to a request that failed; what no client caused is logged, and not told."""
    if not isinstance(error, ApiError):
        log_failure(error)
        error = ApiError(500, "The server failed to answer.", code="internal", headers=CLOSE)
    body = to_json(error.body)
    return Response(body, error.status, error.headers, "application/json")
