"""The application: which path is answered by what."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mypt_serve.api.answers import answer
from mypt_serve.api.errors import CLOSE, ApiError
from mypt_serve.api.fields import parse_object
from mypt_serve.api.forms import to_json
from mypt_serve.api.requests import read_chat, read_completion
from mypt_serve.gate import Gate, respond
from mypt_serve.page.page import Page, build_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp

    from mypt_serve.api.requests import TextsRequest
    from mypt_serve.settings import Access, Limits, ServedModel

    Read = Callable[[Mapping[str, Any], ServedModel, Limits], TextsRequest]


def make_app(served: ServedModel, access: Access, limits: Limits) -> ASGIApp:
    """Return the application that serves a model."""
    rooms = _Rooms(served, access, limits)
    routes = [
        Route("/", rooms.show_page),
        Route("/health", rooms.tell_health),
        Route("/card", rooms.show_card),
        Route("/v1/models", rooms.list_models),
        Route("/v1/models/{name:path}", rooms.show_model),
        Route("/v1/completions", rooms.make_answerer(read_completion), methods=["POST"]),
        Route("/v1/chat/completions", rooms.make_answerer(read_chat), methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {Exception: _respond, ApiError: _respond, HTTPException: _respond}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Gate(app, access, limits)


class _Rooms:
    """The handlers of the paths."""

    def __init__(self, served: ServedModel, access: Access, limits: Limits) -> None:
        self._served = served
        self._limits = limits
        self._page: Page = build_page(needs_token=access.token is not None)

    async def show_page(self, request: Request) -> Response:
        """Return the chat page."""
        del request
        headers = {"Content-Security-Policy": self._page.policy}
        return Response(self._page.html, headers=headers, media_type="text/html")

    async def tell_health(self, request: Request) -> Response:
        """Return that the server is there."""
        del request
        return _json({"status": "ok"})

    async def show_card(self, request: Request) -> Response:
        """Return what the page shows of the model."""
        del request
        served = self._served
        card = {
            "model": served.name,
            "chat": served.template is not None,
            "why": served.no_template,
            "most_tokens": self._limits.new_tokens or served.model.config.block_size,
            "facts": served.card,
            "plot": served.loss_plot,
        }
        return _json(card)

    async def list_models(self, request: Request) -> Response:
        """Return the one model that there is."""
        del request
        return _json({"object": "list", "data": [self._describe()]})

    async def show_model(self, request: Request) -> Response:
        """Return the model, by its name."""
        name = request.path_params["name"]
        if name != self._served.name:
            message = f"The model '{name[:80]}' does not exist."
            raise ApiError(404, message, param="model", code="model_not_found")
        return _json(self._describe())

    def make_answerer(self, read: Read) -> Callable[[Request], Any]:
        """Return the handler of requests for texts."""

        async def handle(request: Request) -> Response:
            try:
                body = await request.body()
            except ClientDisconnect:
                return Response(status_code=400)
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                message = "The body must be JSON: send `Content-Type: application/json`."
                raise ApiError(415, message, code="unsupported_media_type", headers=CLOSE)
            asked = await asyncio.to_thread(self._read, read, body)
            return await answer(self._served, asked, self._limits, request.receive)

        return handle

    def _read(self, read: Read, body: bytes) -> TextsRequest:
        return read(parse_object(body), self._served, self._limits)

    def _describe(self) -> dict[str, Any]:
        served = self._served
        return {
            "id": served.name,
            "object": "model",
            "created": served.created,
            "owned_by": "mypt",
        }


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")


async def _respond(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # of the router
        message = f"{request.method} is not allowed at this path."
        if error.status_code == 404:
            message = "There is nothing at this path."
        headers = {**(error.headers or {}), **CLOSE}
        error = ApiError(error.status_code, message, headers=headers)
    return respond(error)
