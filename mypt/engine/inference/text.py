"""Continue texts: prompts to rows of ids, a seed to draws, tokens back to text."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from attrs import evolve

from mypt.data.randomness import Purpose, uniform
from mypt.engine.inference.continuation import Continuation, GenerationSettings, Wanted
from mypt.engine.inference.logit_processing import prepare_processing
from mypt.engine.inference.prompt_ids import encode_prompt, encode_prompts
from mypt.engine.runtime.out_of_memory import GENERATING, explain_oom
from mypt.engine.runtime.readback import Readback, in_flight
from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.arguments import check_arguments, whole_number
from mypt.model.decoding.generate import steps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from torch import Tensor

    from mypt.engine.inference.logit_processing import LogitProcessing, TextProcessors
    from mypt.engine.inference.prompt_ids import EncodedPrompt, Prompt
    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.config import GPTConfig
    from mypt.model.decoding.generate import Step
    from mypt.model.decoding.prefix_cache import PrefixCache
    from mypt.model.decoding.rows import DrawNumbers
    from mypt.model.decoding.sampling_options import Sampling


class TextRow:
    """One text being generated.

    Attributes:
        window: The part of the prompt that the model sees.
        key: What decides its draws, beside the seed.
        text: What can be shown of the new text.
        ids: The new tokens.
        stopped_by: The stop string, or the stop token's text; None before.
    """

    def __init__(
        self,
        prompt: EncodedPrompt,
        settings: GenerationSettings,
        processors: TextProcessors,
        config: GPTConfig,
        sample: int = 0,
    ) -> None:
        """Begin after the prompt.

        Args:
            prompt: The prompt.
            settings: How it is continued.
            processors: Its logit processors.
            config: The model's.
            sample: Number of the continuation, among those of this prompt.
        """
        self.prompt = prompt
        self.window = prompt.ids[-config.block_size :]
        self.key = _hash_prompt(prompt.ids), sample
        self.text = ""
        self.ids: list[int] = []
        self.log_probs: list[float] = []
        self.logits: list[Tensor] = []
        self.processors = processors
        self.ending = settings.ending
        self.stopped_by = processors.find_end(())
        self._vocab_size = config.vocab_size
        self._detokenizer = prompt.begin_detokenizer(settings.ending.stop)

    @property
    def is_done(self) -> bool:
        """Whether no token is wanted any more."""
        return self.stopped_by is not None or len(self.ids) == self.ending.max_new_tokens

    def take(self, token: int) -> str:
        """Take the next token and return what can be shown."""
        if token in self.processors.stop_tokens:
            self.stopped_by = self.processors.stop_tokens[token]
            shown = self._detokenizer.finish()
        else:
            self.ids.append(token)
            shown = self._detokenizer.feed(token)
            self.stopped_by = self._detokenizer.stopped_by or self.processors.find_end(self.ids)
            if self.is_done:
                shown += self._detokenizer.finish()
        self.text += shown
        return shown

    def result(self, settings: GenerationSettings) -> Continuation:
        """Return the continuation."""
        n = len(self.ids)  # leaves out the details of a stop token
        return Continuation(
            prompt=self.prompt.text,
            text=self.text,
            prompt_ids=self.prompt.ids,
            ids=tuple(self.ids),
            stopped_by=self.stopped_by,
            unfinished=self.processors.list_unfinished(self.ids),
            seed=settings.sampling.seed or 0,
            log_probs=tuple(self.log_probs[:n]) if settings.wanted.log_probs else None,
            logits=self._stack_logits(n) if settings.wanted.logits else None,
        )

    def _stack_logits(self, count: int) -> Tensor:
        """Return the logits of the first tokens, (count, vocab_size) float32; there may be none."""
        if count == 0:
            return torch.empty(0, self._vocab_size)
        return torch.stack(self.logits[:count])


class TextStream(Iterator[str]):
    """The pieces of a text that is being continued, as an iterator."""

    def __init__(self, row: TextRow, pieces: Generator[str]) -> None:
        """Begin with no piece made.

        Args:
            row: The text.
            pieces: Makes its pieces, and puts their tokens into the row.
        """
        self._row = row
        self._pieces = pieces

    def __next__(self) -> str:
        """Return the next piece."""
        return next(self._pieces)

    def close(self) -> None:
        """End the text here."""
        self._pieces.close()

    @property
    def prompt(self) -> str:
        """The prompt, as text; of ids, without a character that they leave incomplete."""
        return self._row.prompt.text

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The logit processors that the text so far is not whole for, such as `json_schema`."""
        return self._row.processors.list_unfinished(self._row.ids)

    @property
    def stopped_by(self) -> str | None:
        """The stop string, or the stop token's text; None if there was none so far."""
        return self._row.stopped_by

    @property
    def ids(self) -> list[int]:
        """The tokens so far, of the prompt and of the pieces: a prompt that goes on from here."""
        return [*self._row.prompt.ids, *self._row.ids]


def stream(
    model: LanguageModel,
    prompt: Prompt,
    settings: GenerationSettings,
    *,
    sample: int = 0,
    prefix: PrefixCache | None = None,
) -> TextStream:
    """Continue one text piece by piece; see `GPT.stream`.

    Args:
        model: The model.
        prompt: Text or ids.
        settings: How to continue it.
        sample: Number of this continuation among those of the same prompt, which differ.
        prefix: What the text before left, and where this one leaves the same for the next.
    """
    settings = with_seed(settings)
    row = begin_row(model, prompt, settings, sample)
    return TextStream(row, _make_pieces(model, row, settings, prefix))


def begin_row(
    model: LanguageModel, prompt: Prompt, settings: GenerationSettings, sample: int = 0
) -> TextRow:
    """Begin a text after a prompt, with logit processors of its own.

    Raises:
        ConfigError: The prompt or a logit processor is refused; see `encode_prompt` and
            `prepare_processing`.
        DataError: As `encode_prompt`.
        PluginError: As `prepare_processing`.
    """
    encoded = encode_prompt(
        settings.tokenizer,
        prompt,
        model.config.vocab_size,
        model.begin_ids,
        read_special_tokens=settings.read_special_tokens,
    )
    processors = prepare_processing(model, settings).begin(encoded.ids)
    return TextRow(encoded, settings, processors, model.config, sample)


def _make_pieces(
    model: LanguageModel, row: TextRow, settings: GenerationSettings, prefix: PrefixCache | None
) -> Generator[str]:
    made: Iterator[Step] = iter(())
    if not row.is_done:
        made = _sample_steps(model, [row], settings, prefix)
    ahead = 0 if row.processors else 1
    for step in _read_back(model, made, settings.wanted, ahead=ahead):
        piece = row.take(int(step.ids.values()))
        if piece:
            yield piece
        if row.is_done:
            return


def continuations(
    model: LanguageModel,
    prompts: Iterable[Prompt],
    settings: GenerationSettings,
    *,
    samples: int,
    batch_size: int,
) -> Iterator[Continuation]:
    """Continue several texts in batches; see `GPT.generate_many`."""
    counts = check_arguments(
        samples=(samples, whole_number(1)), batch_size=(batch_size, whole_number(1, below=2**63))
    )
    encoded = encode_prompts(
        settings.tokenizer,
        prompts,
        model.config.vocab_size,
        model.begin_ids,
        read_special_tokens=settings.read_special_tokens,
    )
    processing = prepare_processing(model, settings)
    return _continue_batches(model, encoded, with_seed(settings), processing, **counts)


def _continue_batches(
    model: LanguageModel,
    prompts: Sequence[EncodedPrompt],
    settings: GenerationSettings,
    processing: LogitProcessing,
    *,
    samples: int,
    batch_size: int,
) -> Iterator[Continuation]:
    rows = (
        TextRow(prompt, settings, processing.begin(prompt.ids), model.config, number)
        for prompt in prompts
        for number in range(samples)
    )
    while together := list(islice(rows, batch_size)):
        for batch in _batch_by_length(together, settings.ending.max_new_tokens):
            _fill_rows(model, batch, settings)
        for row in together:
            yield row.result(settings)


def _batch_by_length(rows: Sequence[TextRow], new: int) -> Iterator[list[TextRow]]:
    """Batch rows with prompts of similar length, the shortest prompt first.

    The rows of a batch begin together and wait for the longest prompt; if that takes longer than
    continuing the short ones, these are better in a separate batch.
    """
    batch: list[TextRow] = []
    for row in sorted(rows, key=lambda row: len(row.window)):
        if batch and len(row.window) - len(batch[0].window) > new:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _sample_steps(
    model: LanguageModel,
    batch: Sequence[TextRow],
    settings: GenerationSettings,
    prefix: PrefixCache | None = None,
) -> Iterator[Step]:
    device = next(model.parameters()).device
    is_processed = any(row.processors for row in batch)
    return steps(
        model,
        [torch.tensor(row.window, device=device) for row in batch],
        settings.ending.max_new_tokens,
        settings.sampling,
        draw=make_number_drawer(batch, settings.sampling),
        allowed_vocab=settings.tokenizer.n_vocab,
        use_cache=settings.use_cache,
        process=partial(process_logits, batch) if is_processed else None,
        prefix=prefix,
    )


def process_logits(batch: Sequence[TextRow], logits: Tensor, number: int) -> Tensor:
    """Change the logits of the rows that choose a new token in a step; see `ProcessLogits`."""
    for index, row in enumerate(batch):
        if not row.is_done and number >= _count_waiting(row, batch):
            logits[index] = row.processors.apply(logits[index], row.ids)
    return logits


def _count_waiting(row: TextRow, batch: Sequence[TextRow]) -> int:
    """Return the steps that are still within the prompt of a row; the first row's is shortest."""
    return len(row.window) - len(batch[0].window)


def make_number_drawer(batch: Sequence[TextRow], sampling: Sampling) -> DrawNumbers | None:
    """Return what draws the numbers of a row from only the seed, its prompt and its index."""
    seed = sampling.seed
    if seed is None or sampling.temperature == 0:
        return None

    def draw(row: int, count: int) -> Tensor:
        return torch.from_numpy(uniform(seed, Purpose.SAMPLE, *batch[row].key, count)).float()

    return draw


def _fill_rows(
    model: LanguageModel, batch: Sequence[TextRow], settings: GenerationSettings
) -> None:
    """Generate the tokens of a batch, and collect what is wanted of each in its row."""
    ahead = 1 if settings.ending.is_early else settings.ending.max_new_tokens
    if any(row.processors for row in batch):
        ahead = 0  # what they do with a step depends on the token of the one before
    made = _sample_steps(model, batch, settings)
    for number, step in enumerate(_read_back(model, made, settings.wanted, ahead=ahead)):
        ids = step.ids.values().tolist()
        log_probs = None if step.log_probs is None else step.log_probs.values().tolist()
        for index, row in enumerate(batch):
            if row.is_done or number < _count_waiting(row, batch):
                continue
            row.take(ids[index])
            if log_probs is not None:
                row.log_probs.append(log_probs[index])
            if step.logits is not None:
                row.logits.append(step.logits.values()[index])
        if all(row.is_done for row in batch):
            return


class _StepReadback(NamedTuple):
    """The values of a step that are kept, for B rows."""

    ids: Readback
    log_probs: Readback | None
    logits: Readback | None

    @classmethod
    def of(cls, step: Step, wanted: Wanted) -> _StepReadback:
        log_probs = logits = None
        if wanted.log_probs:
            chosen = step.logits.float().log_softmax(-1).gather(1, step.ids[:, None])
            log_probs = Readback(chosen[:, 0])
        if wanted.logits:
            logits = Readback(step.logits.float().clone())
        return cls(Readback(step.ids), log_probs, logits)


def _read_back(
    model: LanguageModel, made: Iterator[Step], wanted: Wanted, *, ahead: int
) -> Iterator[_StepReadback]:
    """Yield what is wanted of each step, while a GPU computes up to `ahead` further steps."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    with explain_oom(GENERATING):
        read = (_StepReadback.of(step, wanted) for step in _ensure_finite_start(made))
        yield from in_flight(read, 0 if on_cpu else ahead)


def _ensure_finite_start(made: Iterator[Step]) -> Iterator[Step]:
    """Raise if the logits of the first step are NaN, since then the weights are too."""
    for number, step in enumerate(made):
        if number == 0:
            ensure_no_nan(step.logits)
        yield step


def ensure_no_nan(logits: Tensor) -> None:
    """Raise if the first logits that a model computes of a text are NaN: then its weights are too.

    Raises:
        ConfigError: They are.
    """
    if bool(logits.isnan().any()):
        what = "the model outputs NaN, usually because training diverged"
        fix = "use its gold copy or a snapshot, or retrain"
        raise ConfigError(Problem("", "", what, fix, kind="model.nan"))


def with_seed(settings: GenerationSettings) -> GenerationSettings:
    """Return the settings with a random seed, if they have none."""
    if settings.sampling.seed is not None:
        return settings
    return evolve(settings, sampling=evolve(settings.sampling, seed=secrets.randbits(32)))


def _hash_prompt(ids: Sequence[int]) -> int:
    """Return a 64-bit hash of a prompt."""
    data = np.asarray(ids, dtype="<u4").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
