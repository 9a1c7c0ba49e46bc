"""What a request asks for: prompts as ids, and how to continue them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.chat.message import Message
from mypt.engine.inference.continuation import Ending, GenerationSettings, Wanted
from mypt.plugins import MyptError
from mypt_serve.api.errors import ApiError, explain, refuse, refuse_length
from mypt_serve.api.fields import Fields, boolean, integer, text
from mypt_serve.api.sampling import (
    MOST_LOG_PROBS,
    NEUTRAL,
    Streaming,
    Texts,
    read_streaming,
    read_texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt_serve.settings import Limits, ServedModel

Prompt = str | tuple[int, ...]
ROLES = ("system", "developer", "user", "assistant")
_COMPLETION_TOKENS = 16  # what OpenAI's API makes where a request does not say
_SEED_STRIDE = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: seeds of choices are far apart


@frozen(kw_only=True)
class TextsRequest:
    """What is asked for.

    Attributes:
        prompts: What is continued, one for each prompt of the request.
        settings: How, one for each text of a prompt.
        streaming: Whether the answer comes in pieces.
        is_chat: Whether it is an answer in a conversation.
        n_top: How many of the likeliest tokens are told with each token; None for no token's
            probability.
    """

    prompts: tuple[Prompt, ...]
    settings: tuple[GenerationSettings, ...]
    streaming: Streaming
    is_chat: bool
    n_top: int | None


def read_completion(body: Mapping[str, Any], served: ServedModel, limits: Limits) -> TextsRequest:
    """Read a request for `/v1/completions`.

    Raises:
        ApiError: A parameter is wrong, or not supported.
    """
    fields = Fields(body)
    _check_model(fields, served)
    prompts = fields.need("prompt", _read_prompts)
    n_top = fields.take("logprobs", integer(0, MOST_LOG_PROBS), None)
    texts, streaming = _read_common(fields, served, limits)
    if len(prompts) * texts.n > limits.choices:
        refuse("prompt", f"and 'n' ask for more than {limits.choices} texts")
    max_tokens = _COMPLETION_TOKENS if texts.max_tokens is None else texts.max_tokens
    return TextsRequest(
        prompts=prompts,
        settings=_make_settings(served, texts, max_tokens, n_top, ()),
        streaming=streaming,
        is_chat=False,
        n_top=n_top,
    )


def read_chat(body: Mapping[str, Any], served: ServedModel, limits: Limits) -> TextsRequest:
    """Read a request for `/v1/chat/completions`.

    Raises:
        ApiError: A parameter is wrong, or not supported, or the model has no chat template.
    """
    fields = Fields(body)
    _check_model(fields, served)
    template = served.template
    if template is None:
        message = f"The model cannot chat: {served.no_template} Use /v1/completions."
        raise ApiError(400, message, param="model", code="no_chat_template")
    messages = fields.need("messages", _read_messages)
    context = served.model.config.block_size
    if len(messages) > context:  # each has a token at least; to render them takes long
        refuse_length("messages", len(messages), context)
    with_log_probs = fields.take("logprobs", boolean, False)
    n_top = fields.take("top_logprobs", integer(0, MOST_LOG_PROBS), None)
    if n_top is not None and not with_log_probs:
        refuse("top_logprobs", "is only allowed when 'logprobs' is true")
    n_top = (n_top or 0) if with_log_probs else None
    texts, streaming = _read_common(fields, served, limits)
    try:
        ids = template.encode(messages, add_generation_prompt=True).ids
    except MyptError as error:
        refuse("messages", f"cannot be encoded: {explain(error)}")
    rest = max(1, min(context - len(ids), _most_tokens(served, limits)))
    return TextsRequest(
        prompts=(ids,),
        settings=_make_settings(served, texts, texts.max_tokens or rest, n_top, template.stops),
        streaming=streaming,
        is_chat=True,
        n_top=n_top,
    )


def _check_model(fields: Fields, served: ServedModel) -> None:
    name = fields.need("model", text)
    if name != served.name:
        message = f"The model '{name[:80]}' does not exist; this server has '{served.name}'."
        raise ApiError(404, message, param="model", code="model_not_found")


def _read_common(fields: Fields, served: ServedModel, limits: Limits) -> tuple[Texts, Streaming]:
    streaming = read_streaming(fields)
    most = _most_tokens(served, limits)
    texts = read_texts(fields, limits, served.model.plugins, most)
    fields.refuse_rest(NEUTRAL)
    return texts, streaming


def _most_tokens(served: ServedModel, limits: Limits) -> int:
    return limits.new_tokens or served.model.config.block_size


def _make_settings(
    served: ServedModel, texts: Texts, max_tokens: int, n_top: int | None, stops: Sequence[int]
) -> tuple[GenerationSettings, ...]:
    """Return the settings of each text of a prompt: they differ in the seed."""
    tokenizer, seed = served.model.need_tokenizer(), texts.sampling.seed
    ends = (*stops, *served.model.end_ids)
    settings = GenerationSettings(
        tokenizer=tokenizer,
        sampling=texts.sampling,
        ending=Ending.of(tokenizer, max_tokens, texts.stop, ends),
        wanted=Wanted(log_probs=n_top is not None, top_log_probs=n_top or 0),
    )
    if seed is None:
        return (settings,) * texts.n
    seeds = [(seed + number * _SEED_STRIDE) % 2**64 for number in range(texts.n)]
    return tuple(evolve(settings, sampling=evolve(texts.sampling, seed=one)) for one in seeds)


def _read_prompts(name: str, value: Any) -> tuple[Prompt, ...]:
    """Read a text or ids, or several of these."""
    if isinstance(value, list) and value and not _is_id(value[0]):
        return tuple(_read_prompt(name, one) for one in value)
    return (_read_prompt(name, value),)


def _read_prompt(name: str, value: Any) -> Prompt:
    if isinstance(value, str):
        return text(name, value)
    if not (isinstance(value, list) and value and all(map(_is_id, value))):
        what = "must be a string, an array of strings, an array of ids, or one of arrays of ids"
        refuse(name, what, "invalid_type")
    return tuple(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read_messages(name: str, value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        refuse(name, "must be an array with at least one message", "invalid_type")
    messages = tuple(_read_message(f"{name}[{number}]", one) for number, one in enumerate(value))
    if messages[-1].role == "assistant":
        refuse(name, "must not end with a message of the assistant")
    return messages


def _read_message(name: str, value: Any) -> Message:
    if not isinstance(value, dict):
        refuse(name, "must be an object", "invalid_type")
    fields = Fields(value, name)
    role = fields.need("role", text)
    if role not in ROLES:
        refuse(f"{name}.role", f"must be one of {', '.join(ROLES)}")
    content = fields.need("content", _read_content)
    fields.refuse_rest({"tool_calls": ([],), "annotations": ([],)})
    return Message(role="system" if role == "developer" else role, content=content)


def _read_content(name: str, value: Any) -> str:
    """Read a text, or a list of parts that are texts."""
    if not isinstance(value, list):
        return text(name, value)
    parts = []
    for number, part in enumerate(value):
        if not isinstance(part, dict) or part.get("type") != "text" or len(part) != 2:
            refuse(f"{name}[{number}]", "must be a part of type text", "invalid_type")
        parts.append(text(f"{name}[{number}].text", part.get("text")))
    return "".join(parts)
