"""Continue texts: prompts to rows of ids, a seed to draws, tokens back to text."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from attrs import evolve

from mypt.data.randomness import Purpose, uniform
from mypt.engine.inference.continuation import Continuation, GenerationSettings, Wanted
from mypt.engine.inference.detokenizer import Detokenizer
from mypt.engine.runtime.out_of_memory import GENERATING, explain_oom
from mypt.engine.runtime.readback import Readback, in_flight
from mypt.format.errors import ConfigError, DataError, Problem
from mypt.model.decoding.generate import steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from mypt.engine.language_model import LanguageModel
    from mypt.model.decoding.generate import Step
    from mypt.model.decoding.sampling_options import Sampling
    from mypt.plugins.contracts import Tokenizer


class _Row:
    """One text being generated."""

    def __init__(
        self, prompt: str, settings: GenerationSettings, block_size: int, sample: int = 0
    ) -> None:
        ids = prompt_ids(settings.tokenizer, prompt)
        self.prompt = prompt
        self.prompt_ids = ids[-block_size:]  # the part that the model sees
        self.key = _hash_prompt(ids), sample
        self.text = ""
        self.ids: list[int] = []
        self.log_probs: list[float] = []
        self.logits: list[Tensor] = []
        self.stopped_by: str | None = None
        self.ending = settings.ending
        self._detokenizer = Detokenizer(settings.tokenizer, settings.ending.stop)

    @property
    def is_done(self) -> bool:
        return self.stopped_by is not None or len(self.ids) == self.ending.max_new_tokens

    def take(self, token: int) -> str:
        """Take the next token and return what can be shown."""
        if token in self.ending.stop_tokens:
            self.stopped_by = self.ending.stop_tokens[token]
            shown = self._detokenizer.finish()
        else:
            self.ids.append(token)
            shown = self._detokenizer.feed(token)
            self.stopped_by = self._detokenizer.stopped_by
            if self.is_done:
                shown += self._detokenizer.finish()
        self.text += shown
        return shown

    def result(self, settings: GenerationSettings) -> Continuation:
        """Return the continuation."""
        n = len(self.ids)  # leaves out the details of a stop token
        return Continuation(
            prompt=self.prompt,
            text=self.text,
            ids=tuple(self.ids),
            stopped_by=self.stopped_by,
            seed=settings.sampling.seed or 0,
            log_probs=tuple(self.log_probs[:n]) if settings.wanted.log_probs else None,
            logits=torch.stack(self.logits)[:n] if settings.wanted.logits else None,
        )


def prompt_ids(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Encode a prompt; an empty one becomes a newline if the vocabulary has it, else id 0.

    A prompt of which the tokenizer drops everything, as some do with what they lack, is empty.

    Raises:
        DataError: The prompt contains a character that the vocabulary lacks.
    """
    ids = tokenizer.encode(prompt) if prompt else []
    if ids:
        return ids
    try:
        return tokenizer.encode("\n")[:1] or [0]
    except DataError:
        return [0]


def ensure_several(prompts: Iterable[str]) -> None:
    """Raise if the prompts are a single string, whose characters would be taken as prompts.

    Raises:
        ConfigError: They are a single string.
    """
    if isinstance(prompts, str):
        what, fix = "are a single string", "put it into a list, or call `generate`"
        raise ConfigError(Problem("", "prompts", what, fix))


def stream(model: LanguageModel, prompt: str, settings: GenerationSettings) -> Iterator[str]:
    """Continue one text piece by piece; see `GPT.stream`."""
    settings = _with_seed(settings)
    row = _Row(prompt, settings, model.config.block_size)
    for step in _read_back(model, _sample_steps(model, [row], settings), settings.wanted, ahead=1):
        piece = row.take(int(step.ids.values()))
        if piece:
            yield piece
        if row.is_done:
            return


def continuations(
    model: LanguageModel,
    prompts: Iterable[str],
    settings: GenerationSettings,
    *,
    samples: int,
    batch_size: int,
) -> Iterator[Continuation]:
    """Continue several texts in batches; see `GPT.generate_many`."""
    settings, block_size = _with_seed(settings), model.config.block_size
    rows = [_Row(prompt, settings, block_size, n) for prompt in prompts for n in range(samples)]
    for first in range(0, len(rows), batch_size):
        together = rows[first : first + batch_size]
        for batch in _batch_by_length(together, settings.ending.max_new_tokens):
            _fill_rows(model, batch, settings)
        for row in together:
            yield row.result(settings)


def _batch_by_length(rows: Sequence[_Row], new: int) -> Iterator[list[_Row]]:
    """Batch rows with prompts of similar length, the shortest prompt first.

    The rows of a batch begin together and wait for the longest prompt; if that takes longer than
    continuing the short ones, these are better in a separate batch.
    """
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: len(row.prompt_ids)):
        if batch and len(row.prompt_ids) - len(batch[0].prompt_ids) > new:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _sample_steps(
    model: LanguageModel, batch: Sequence[_Row], settings: GenerationSettings
) -> Iterator[Step]:
    device = next(model.parameters()).device
    return steps(
        model,
        [torch.tensor(row.prompt_ids, device=device) for row in batch],
        settings.ending.max_new_tokens,
        settings.sampling,
        draws=_draw_numbers(batch, settings.sampling).to(device),
        allowed_vocab=settings.tokenizer.n_vocab,
        use_cache=settings.use_cache,
    )


def _draw_numbers(batch: Sequence[_Row], sampling: Sampling) -> Tensor:
    """Draw each row's numbers, (B, new) float32, from only the seed, its prompt and its index."""
    size = max(0, batch[0].ending.max_new_tokens)
    if sampling.seed is None or sampling.temperature == 0:
        return torch.zeros(len(batch), size)
    drawn = [uniform(sampling.seed, Purpose.SAMPLE, *row.key, size) for row in batch]
    return torch.from_numpy(np.stack(drawn)).float()


def _fill_rows(model: LanguageModel, batch: Sequence[_Row], settings: GenerationSettings) -> None:
    """Generate the tokens of a batch, and collect what is wanted of each in its row."""
    shortest, ending = len(batch[0].prompt_ids), settings.ending
    ahead = 1 if ending.is_early else ending.max_new_tokens
    made = _sample_steps(model, batch, settings)
    for number, step in enumerate(_read_back(model, made, settings.wanted, ahead=ahead)):
        ids = step.ids.values().tolist()
        log_probs = None if step.log_probs is None else step.log_probs.values().tolist()
        for index, row in enumerate(batch):
            if row.is_done or number < len(row.prompt_ids) - shortest:
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
        read = (_StepReadback.of(step, wanted) for step in _ensure_no_nan(made))
        yield from in_flight(read, 0 if on_cpu else ahead)


def _ensure_no_nan(made: Iterator[Step]) -> Iterator[Step]:
    """Raise if the logits of the first step are NaN, since then the weights are too."""
    for number, step in enumerate(made):
        if number == 0 and bool(step.logits.isnan().any()):
            what = "the model outputs NaN, usually because training diverged"
            fix = "use its gold copy or a snapshot, or retrain"
            raise ConfigError(Problem("", "", what, fix, kind="model.nan"))
        yield step


def _with_seed(settings: GenerationSettings) -> GenerationSettings:
    """Return the settings with a random seed, if they have none."""
    if settings.sampling.seed is not None:
        return settings
    return evolve(settings, sampling=evolve(settings.sampling, seed=secrets.randbits(32)))


def _hash_prompt(ids: Sequence[int]) -> int:
    """Return a 64-bit hash of a prompt."""
    data = np.asarray(ids, dtype="<u4").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
