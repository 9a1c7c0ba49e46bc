"""Texts that are being made for one request: from the thread that makes them to the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from mypt.chat.special_text import encode_ordinary
from mypt.engine.inference.batching.batcher import BatcherClosed, QueueFull
from mypt.engine.inference.prompt_ids import check_vocabulary
from mypt.plugins import ConfigError, DataError, MyptError, PluginError
from mypt_serve.api.errors import ApiError, explain, refuse, refuse_length, refuse_settings
from mypt_serve.api.sampling import SCHEMA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mypt.engine.inference.batching.request import Piece, TextRequest
    from mypt.engine.inference.continuation import GenerationSettings
    from mypt_serve.api.requests import Prompt, TextsRequest
    from mypt_serve.settings import Limits, ServedModel

RETRY_AFTER_S = 1


class Generation:
    """The texts of one request; a context manager, at whose end those that go on are cancelled.

    Attributes:
        texts: The texts, those of the first prompt first.
        deadline: When they have to be made, by the clock of the event loop.
    """

    def __init__(self, served: ServedModel, asked: TextsRequest, limits: Limits) -> None:
        """Begin without a text; `begin` asks for them."""
        self.texts: list[TextRequest] = []
        self._served = served
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._limit_s = limits.generation_s
        self.deadline = self._loop.time() + self._limit_s
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Cancel what goes on."""
        for text in self.texts:
            text.cancel()

    async def begin(self) -> None:
        """Ask for all texts.

        Raises:
            ApiError: A prompt is wrong or too long, a schema is too complex, or too many texts
                wait already.
        """
        await self._try_schema()
        for prompt in self._asked.prompts:
            ids = await asyncio.to_thread(self._encode, prompt)
            for settings in self._asked.settings:
                await self._submit(ids, settings)

    async def pieces(self) -> AsyncIterator[tuple[int, Piece | None]]:
        """Yield the pieces as they come, each with the number of its text; None ends a text.

        Raises:
            ApiError: A text failed.
        """
        going = dict(enumerate(self.texts))
        while going:
            self._changed.clear()
            for number, text in [*going.items()]:
                is_done = text.is_done  # asked first: then no piece comes after those that are read
                for piece in _take(text):
                    yield number, piece
                if is_done:
                    _take(text)  # raises what ended it, behind its last piece
                    del going[number]
                    yield number, None
            if going:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout_at(self.deadline):
                await self._changed.wait()
        except TimeoutError as error:
            raise self._explain_time() from error

    def _explain_time(self) -> ApiError:
        message = (
            f"The server makes the texts of a request for at most {self._limit_s:g} s; "
            "ask for fewer tokens."
        )
        return ApiError(504, message, code="timeout")

    async def _try_schema(self) -> None:
        """Raise if a schema would hold up the server."""
        options = self._asked.settings[0].sampling.processors.get(SCHEMA)
        if options is None:
            return
        try:
            async with asyncio.timeout_at(self.deadline):
                await self._served.schemas.check(options["schema"])
        except TimeoutError as error:
            raise self._explain_time() from error
        except ConfigError as error:
            refuse_settings(error)

    @property
    def n_prompt_tokens(self) -> int:
        """Number of tokens of the prompts, each counted once."""
        step = len(self._asked.settings)
        return sum(len(one.prompt_ids) for one in self.texts[::step])

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids of a prompt; no text of a user becomes a special token."""
        model, tokenizer = self._served.model, self._asked.settings[0].tokenizer
        name = "messages" if self._asked.is_chat else "prompt"
        try:
            if isinstance(prompt, str):
                prompt = (*model.begin_ids, *encode_ordinary(tokenizer, prompt).tolist())
            check_vocabulary(name, prompt, model.config.vocab_size)
        except (ConfigError, DataError) as error:
            refuse(name, f"cannot be encoded: {explain(error)}")
        context = model.config.block_size
        if len(prompt) > context:
            refuse_length(name, len(prompt), context)
        return prompt

    async def _submit(self, prompt: tuple[int, ...], settings: GenerationSettings) -> None:
        submitting = asyncio.ensure_future(
            asyncio.to_thread(
                self._served.batcher.submit, prompt, settings, on_change=self._call_back
            )
        )
        try:
            self.texts.append(await asyncio.shield(submitting))
        except asyncio.CancelledError:  # the thread goes on, and so would its text
            submitting.add_done_callback(_cancel_submitted)
            raise
        except QueueFull as error:
            message = "The server is busy: as many texts wait as may. Try again later."
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            raise ApiError(429, message, code="queue_full", headers=headers) from error
        except BatcherClosed as error:
            message = "The server is shutting down, or cannot make texts any more."
            raise ApiError(503, message, code="unavailable") from error
        except (ConfigError, DataError) as error:
            refuse_settings(error)

    def _call_back(self) -> None:
        """Wake the event loop, from the thread of the batcher."""
        self._loop.call_soon_threadsafe(self._changed.set)


def _cancel_submitted(submitting: asyncio.Future[TextRequest]) -> None:
    if not submitting.cancelled() and submitting.exception() is None:
        submitting.result().cancel()


def _take(text: TextRequest) -> list[Piece]:
    """Return the pieces that have come.

    Raises:
        ApiError: The text failed.
    """
    try:
        return text.take_pieces()
    except BatcherClosed as error:
        raise ApiError(503, "The server is shutting down.", code="unavailable") from error
    except PluginError:
        raise
    except MyptError as error:
        refuse_settings(error)
