"""What models do with the same text: its loss, and how they continue a prompt."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from attrs import evolve, frozen

from mypt.api.gpt import GPT
from mypt.data.batches.contents import open_splits
from mypt.data.batches.text_ids import check_ids
from mypt.data.dataset import check_assumed_tokenizer, read_tokenizer_state
from mypt.data.text import read_text
from mypt.engine.checkpoints.build import build_model, build_tokenizer
from mypt.engine.inference.prompt_ids import encode_given
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.errors import ConfigError, DataError, Problem, format_count
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from mypt.comparison.settings import Side
    from mypt.engine.inference.scoring import Score
    from mypt.model.decoding.sampling_options import Sampling
    from mypt.plugins.manager import Plugins

PROMPT = "--prompt"


@frozen(kw_only=True)
class HeldOut:
    """A text that models are compared on.

    Attributes:
        text: The text.
        source: What to call it.
        read_special_tokens: Whether what spells a special token is one, as in the text of ids.
    """

    text: str
    source: str
    read_special_tokens: bool = False

    @property
    def size_bytes(self) -> int:
        """Its size in UTF-8."""
        return len(self.text.encode())

    @property
    def sha256(self) -> str:
        """The digest of its UTF-8 bytes."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@frozen(kw_only=True)
class Result:
    """What one model made of it.

    Attributes:
        side: The model as it was then: a run may have saved it since its settings were read.
        score: Its loss on the whole text, in windows as `GPT.score` makes them by default; None
            where there was no text.
        continuation: What it added to the prompt; None where there was none.
    """

    side: Side
    score: Score | None
    continuation: str | None


def text_of_file(path: str) -> HeldOut:
    """Read a text file.

    Raises:
        DataError: It is missing, empty or not text.
    """
    return HeldOut(text=read_text(path), source=path)


def text_of_data_set(dataset_dir: str, plugins: Plugins) -> HeldOut:
    """Return the validation split of a data set as the text that it was made of.

    Raises:
        DataError: It is missing or damaged.
        PluginError: No installed plugin offers its tokenizer.
    """
    state = read_tokenizer_state(dataset_dir)
    tokenizer = build_from_state(state, plugins)
    source = open_splits(dataset_dir, tokenizer, eval_only=True)["val"]
    highest = source.highest_id()
    check_assumed_tokenizer(dataset_dir, tokenizer.token_kind, highest)
    check_ids(highest, tokenizer.vocab_size, dataset_dir)
    pieces = (tokenizer.decode_bytes(chunk.tolist()) for chunk in source.chunks())
    text = b"".join(pieces).decode("utf-8", "replace")
    source_name = str(Path(dataset_dir) / "val")
    return HeldOut(text=text, source=source_name, read_special_tokens=True)


def try_models(
    sides: Sequence[Side],
    plugins: Plugins,
    device: torch.device,
    *,
    held_out: HeldOut | None,
    prompt: str | None,
    max_new_tokens: int,
    sampling: Sampling,
) -> Iterator[Result]:
    """Let one model after the other score the text and continue the prompt.

    Only one model is in memory at a time, and whether all can read the texts is known before the
    first one is loaded.

    Args:
        sides: The models.
        plugins: Where parts and tokenizers are looked up.
        device: What to compute on.
        held_out: The text to score, in float32; None for none.
        prompt: Text to continue; None for none, "" begins a new text.
        max_new_tokens: How many tokens to add.
        sampling: How to choose them.

    Raises:
        DataError: A model's vocabulary lacks a character of the text or of the prompt, or the
            text has too few tokens; all such models are named.
        ConfigError: A model has no tokenizer.
    """
    asked = () if not prompt else (HeldOut(text=prompt, source=PROMPT),)
    _check_readable(sides, plugins, (*asked, *(() if held_out is None else (held_out,))))
    for side in sides:
        tried, model = _build_side(side, plugins, device)
        continuation = None
        if prompt is not None:
            continuation = "".join(model.stream(prompt, max_new_tokens, sampling=sampling))
        yield Result(
            side=tried,
            score=None if held_out is None else _score(model, held_out),
            continuation=continuation,
        )


def _score(model: GPT, held_out: HeldOut) -> Score:
    return model.score(held_out.text, read_special_tokens=held_out.read_special_tokens)


@reopen_if_saved
def _build_side(side: Side, plugins: Plugins, device: torch.device) -> tuple[Side, GPT]:
    side = side.reopened(plugins)
    return side, build_model(side.opened, plugins, cls=GPT, device=device)


def _check_readable(sides: Sequence[Side], plugins: Plugins, texts: Sequence[HeldOut]) -> None:
    """Raise if a model cannot encode a text, before the first model is loaded."""
    problems = []
    for side in sides:
        tokenizer = build_tokenizer(side.opened.tokenizer, plugins)
        if tokenizer is None:
            side.opened.check_tokenizer()
            _raise_without_tokenizer(side)
        for one in texts:
            is_special = one.read_special_tokens
            try:
                count = len(encode_given(tokenizer, one.text, read_special_tokens=is_special))
            except DataError as error:
                problems += [_name_source(problem, side, one.source) for problem in error.problems]
                continue
            if one.source != PROMPT and count < 2:
                what = f"is too short: {format_count(count, 'token')} to {side.name}"
                problems.append(Problem(one.source, "", what, "use more text", kind="data.short"))
    if problems:
        raise DataError(*problems)


def _name_source(problem: Problem, side: Side, source: str) -> Problem:
    """Return the problem with the text and the model that cannot read it."""
    fix = "remove it, or leave this model out"
    return evolve(problem, file=source, what=f"{side.name} cannot read it: {problem.what}", fix=fix)


def _raise_without_tokenizer(side: Side) -> NoReturn:
    what = "has no tokenizer available, so it cannot encode a text"
    kind = None if side.opened.tokenizer is None else side.opened.tokenizer.token_kind
    fix = "put its tokenizer.json next to it" if kind is None else f"install the plugin of `{kind}`"
    raise ConfigError(Problem(str(side.opened.path), "tokenizer", what, fix))
