"""Answer a request: all at once, or piece by piece as server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from mypt_serve.api.errors import ApiError
from mypt_serve.api.forms import Forms, TextSoFar, to_json
from mypt_serve.api.generation import Generation
from mypt_serve.log import log_failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from starlette.types import Receive, Scope, Send

    from mypt_serve.api.requests import TextsRequest
    from mypt_serve.settings import Limits, ServedModel

T = TypeVar("T")
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_GONE = 499  # what servers log of a client that is gone; nobody reads it


async def answer(
    served: ServedModel, asked: TextsRequest, limits: Limits, receive: Receive
) -> Response:
    """Return the response to a request.

    Raises:
        ApiError: It cannot be met, or takes too long.
    """
    if asked.streaming.is_on:
        begun = await until_gone(receive, _begin(served, asked, limits))
        return Response(status_code=_GONE) if begun is None else _Events(served, asked, begun)
    made = await until_gone(receive, _make_whole(served, asked, limits))
    if made is None:
        return Response(status_code=_GONE)
    return Response(to_json(made), media_type="application/json")


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """Do something while the client is there; return None, and cancel it, if the client goes."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_wait_until_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _make_whole(served: ServedModel, asked: TextsRequest, limits: Limits) -> dict[str, Any]:
    with Generation(served, asked, limits) as generation:
        await generation.begin()
        texts = [TextSoFar() for _ in generation.texts]
        async for number, piece in generation.pieces():
            if piece is not None:
                texts[number].pieces.append(piece)
        whole = Forms(served, asked).whole(texts, generation.texts)
        return {**whole, "usage": _count(generation, texts)}


async def _begin(served: ServedModel, asked: TextsRequest, limits: Limits) -> Generation:
    """Ask for texts before the answer begins, so that what is wrong has a status of its own."""
    generation = Generation(served, asked, limits)
    try:
        await generation.begin()
    except BaseException:
        generation.close()
        raise
    return generation


def _count(generation: Generation, texts: Sequence[TextSoFar]) -> dict[str, int]:
    prompt, made = generation.n_prompt_tokens, sum(text.n_tokens for text in texts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
    }


class _Events(Response):
    """An answer whose pieces are sent as they come."""

    media_type = "text/event-stream"

    def __init__(self, served: ServedModel, asked: TextsRequest, generation: Generation) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._forms = Forms(served, asked)
        self._asked = asked
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it, until it ends or the client is gone."""
        with self._generation:
            await until_gone(receive, self._send(send))

    async def _send(self, send: Send) -> bool:
        await send({"type": "http.response.start", "status": 200, "headers": [*self.raw_headers]})
        try:
            # A client that does not read holds up `send`.
            async with asyncio.timeout_at(self._generation.deadline + 1):
                async for event in self._list_events():
                    body = b"data: " + to_json(event) + b"\n\n"
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                    await asyncio.sleep(0)  # so that a client that is gone is noticed
                body = b"data: [DONE]\n\n"
                await send({"type": "http.response.body", "body": body, "more_body": False})
        except TimeoutError:
            message = "a client does not read what it asked for"
            raise ConnectionAbortedError(message) from None
        return True

    async def _list_events(self) -> AsyncIterator[dict[str, Any]]:
        try:
            async for event in self._list_chunks():
                yield event
        except ApiError as error:
            yield error.body
        except Exception as error:  # whatever fails, the answer ends as one
            log_failure(error)
            yield ApiError(500, "The server failed to make the text.", code="internal").body

    async def _list_chunks(self) -> AsyncIterator[dict[str, Any]]:
        forms, requests = self._forms, self._generation.texts
        texts = [TextSoFar() for _ in requests]
        if self._asked.is_chat:
            for number in range(len(requests)):
                yield forms.first_chunk(number)
        async for number, piece in self._generation.pieces():
            if piece is None:
                yield forms.last_chunk(number, requests[number].finish_reason)
                continue
            before = forms.read_answer(texts[number].text)
            start = len(texts[number].text)
            texts[number].pieces.append(piece)
            said = forms.read_answer(texts[number].text).removeprefix(before)
            yield forms.chunk(number, said, piece, start)
        if self._asked.streaming.with_usage:
            yield forms.usage_chunk(_count(self._generation, texts))
