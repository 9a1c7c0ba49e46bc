"""`mypt generate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from mypt.cli.generation.loaded_model import load_model
from mypt.cli.generation.processors import processor_options
from mypt.cli.generation.request import Request, make_request
from mypt.cli.generation.rounding import (
    choose_device,
    choose_rounding,
    round_weights,
    weights_options,
)
from mypt.cli.options.command import Command
from mypt.cli.options.conflicts import GENERATE_CONFLICTS, check_conflicts
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.readers import base_option, reader_options
from mypt.cli.options.sampling import sampling_option, sampling_options
from mypt.cli.options.text import PROMPT, TEXT
from mypt.cli.options.values.suggested import FILE
from mypt.cli.terminal import echo, echo_json
from mypt.gc_pause import pause_gc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.api.gpt import GPT
    from mypt.engine.inference.continuation import Continuation
    from mypt.engine.inference.scoring import Score
    from mypt.plugins.contracts.tokenizer import Tokenizer


@frozen
class _Scoring:
    """How texts are scored.

    Attributes:
        stride: Tokens from one window to the next; None for half the block size.
        rounding: What the weights are rounded to; None for nothing.
        read_special_tokens: Whether what spells a special token becomes one.
    """

    stride: int | None
    rounding: str | None
    read_special_tokens: bool


@click.command("generate", cls=Command)
@model_argument
@click.option(
    "--legacy_checkpoint", type=TEXT, help="Legacy checkpoint file in the model's folder."
)
@reader_options()
@base_option()
@click.option(
    "--prompt",
    type=PROMPT,
    multiple=True,
    help="Text to continue; may be repeated. Without any, a new text begins.",
)
@click.option("--prompt_file", type=FILE, multiple=True, help="File with one prompt; - is stdin.")
@click.option(
    "--prompt_lines", type=FILE, multiple=True, help="File with a prompt on each line; - is stdin."
)
@click.option(
    "--max_new_tokens", default=200, show_default=True, help="Maximum number of tokens to add."
)
@sampling_options
@sampling_option("seed", int, "Random seed; the same seed gives the same text.")
@processor_options
@click.option("--stop", type=TEXT, multiple=True, help="Stop before this text; may be repeated.")
@click.option(
    "--stop_token",
    type=TEXT,
    multiple=True,
    help="Stop before this token, an id or its text; may be repeated.",
)
@click.option(
    "--stop_at_end/--no_stop_at_end",
    default=None,
    help="Stop before a token that ends a turn or a text; by default where the model has a chat "
    "template, or a token that ends a turn.",
)
@click.option(
    "--read_special_tokens",
    is_flag=True,
    help="Read special tokens, such as <|end|>, in prompts and texts; else they are ordinary text.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Continuations per prompt.",
)
@click.option(
    "--batch_size",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Texts to continue at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per continuation.")
@click.option(
    "--probabilities",
    is_flag=True,
    help="With --json or --score_lines: include the probability of each token.",
)
@click.option("--logits", is_flag=True, help="With --json: include the logits of each token.")
@click.option(
    "--score",
    type=FILE,
    multiple=True,
    help="Measure the loss on this file instead of generating; may be repeated.",
)
@click.option(
    "--score_lines",
    type=FILE,
    help='File with JSON lines to measure instead: "prompt" and "continuation", a text or a list '
    'to choose from; or "text". Prints a JSON line for each; - is stdin.',
)
@click.option(
    "--stride",
    type=int,
    help="With --score: tokens from one window to the next; by default half the block size.",
)
@click.option(
    "--interactive", is_flag=True, help="Read prompts from the terminal; /help lists the commands."
)
@weights_options
@click.pass_context
@name_flags()
def command(
    context: click.Context,
    /,
    model_name: str,
    legacy_checkpoint: str | None,
    options: tuple[str, ...],
    base: str | None,
    device: str | None,
    as_json: bool,
    probabilities: bool,
    logits: bool,
    score: tuple[str, ...],
    score_lines: str | None,
    stride: int | None,
    interactive: bool,
    int8: bool,
    dtype: str | None,
    **wanted: Any,
) -> None:
    """Continue prompts with a trained model, or measure how well it predicts a text."""
    check_conflicts(context, GENERATE_CONFLICTS)
    rounding = choose_rounding(dtype, int8=int8)
    sources = wanted.pop("prompt"), wanted.pop("prompt_file"), wanted.pop("prompt_lines")
    from mypt.cli.generation.prompts import (
        check_prompts,
        check_stdin,
        explain_spelt_tokens,
        read_prompts,
    )

    check_stdin([*sources[1], *sources[2], *score, *filter(None, [score_lines])])
    prompts = list(read_prompts(*sources))
    with pause_gc(freeze=True):
        model = load_model(
            model_name, legacy_checkpoint, options, choose_device(device, rounding), base
        )
    if score:
        how = _Scoring(stride, rounding, read_special_tokens=wanted["read_special_tokens"])
        _print_scores(model, score, how, as_json=as_json, probabilities=probabilities)
        return
    if rounding is not None:
        round_weights(model, rounding)
    reads = wanted["read_special_tokens"]
    tokenizer = _choose_tokenizer(model)
    if score_lines is not None:
        from mypt.cli.generation.score_lines import print_scored_lines

        batch_size = wanted["batch_size"]
        print_scored_lines(model, score_lines, batch_size, details=probabilities, reads=reads)
        return
    check_prompts(prompts, tokenizer, read_special_tokens=reads)
    for line in () if reads else explain_spelt_tokens(prompts, tokenizer):
        echo(line, err=True)
    request = make_request([prompt.text for prompt in prompts] or [""], **wanted)
    if interactive:
        from mypt.cli.generation.interactive import Session, run_session

        run_session(Session(model, request))
    elif as_json:
        _print_json(model, request, probabilities=probabilities, logits=logits)
    elif len(request.prompts) * request.samples == 1:
        _print_stream(model, request)
    else:
        _print_texts(model, request)


def _choose_tokenizer(model: GPT) -> Tokenizer:
    """Return the tokenizer; note if there is none, since prompts and texts are ids then.

    Raises:
        MyptError: There is one, and it is not here: what is asked for are texts.
    """
    from mypt.tokenizers.bare_ids import AbsentTokenizer

    tokenizer = model.tokenizer_or_ids()
    if isinstance(tokenizer, AbsentTokenizer):
        raise tokenizer.refusal
    if model.tokenizer is None:
        state = model.tokenizer_state
        why = (
            "has no tokenizer" if state is None else f"has the unknown tokenizer {state.token_kind}"
        )
        echo(f"note: the model {why}: prompts and texts are ids, such as 3 0 1", err=True)
    return tokenizer


def _print_stream(model: GPT, request: Request) -> None:
    text = model.stream(
        request.prompts[0],
        request.max_new_tokens,
        sampling=request.sampling,
        stop=request.stop,
        stop_tokens=request.stop_tokens,
        read_special_tokens=request.read_special_tokens,
        stop_at_end=request.stop_at_end,
    )
    first = next(text, "")
    echo(text.prompt + first, nl=False)
    for piece in text:
        echo(piece, nl=False)
    echo()
    _note_unfinished(text.unfinished)


def _print_texts(model: GPT, request: Request) -> None:
    for number, continuation in enumerate(_generate(model, request)):
        if number:
            echo("---")
        echo(continuation.prompt + continuation.text)
        _note_unfinished(continuation.unfinished)


def _note_unfinished(unfinished: tuple[str, ...]) -> None:
    """Tell that a text was cut before it is what a logit processor has to make of it."""
    if unfinished:
        names = " and ".join(unfinished)
        echo(f"note: the text ends before {names} is complete; raise --max_new_tokens", err=True)


def _print_json(model: GPT, request: Request, *, probabilities: bool, logits: bool) -> None:
    from mypt.cli.generation.output import describe_continuation

    for one in _generate(model, request, log_probs=probabilities, logits=logits):
        described = describe_continuation(one, model.tokenizer_or_ids())
        echo_json(described, indent=None)
        _note_unfinished(one.unfinished)


def _generate(model: GPT, request: Request, **wanted: bool) -> Iterator[Continuation]:
    return model.generate_many(
        request.prompts,
        request.max_new_tokens,
        sampling=request.sampling,
        stop=request.stop,
        stop_tokens=request.stop_tokens,
        samples=request.samples,
        batch_size=request.batch_size,
        read_special_tokens=request.read_special_tokens,
        stop_at_end=request.stop_at_end,
        **wanted,
    )


def _print_scores(
    model: GPT,
    files: tuple[str, ...],
    how: _Scoring,
    *,
    as_json: bool,
    probabilities: bool,
) -> None:
    from mypt.cli.generation.output import describe_score, format_score
    from mypt.cli.generation.prompts import name_source, read_file

    texts = [(name_source(file), read_file(file)) for file in files]
    rounding = how.rounding
    scores = [_score_text(model, *text, how) for text in texts]
    float_losses = [None if rounding is None else score.loss for score in scores]
    if rounding is not None:
        round_weights(model, rounding)
        scores = [_score_text(model, *text, how) for text in texts]
    for (file, _), score, float_loss in zip(texts, scores, float_losses, strict=True):
        if as_json:
            tokenizer = model.need_tokenizer() if probabilities else None
            described = describe_score(file, score, float_loss, tokenizer)
            echo_json(described, indent=None)
        else:
            echo("\n".join(format_score(file, score, float_loss, rounding)))


def _score_text(model: GPT, name: str, text: str, how: _Scoring) -> Score:
    from mypt.cli.generation.prompts import locate_errors

    with locate_errors(name):
        return model.score(text, stride=how.stride, read_special_tokens=how.read_special_tokens)
