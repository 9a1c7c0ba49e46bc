"""A model of mypt, as lm-eval calls it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

import mypt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lm_eval.api.instance import Instance

    # The texts that a request is cached by, if any; the ids of context and continuation.
    Request = tuple[tuple[str, str] | None, list[int], list[int]]

AUTOMATIC_BATCH_SIZE = 16
# The options of lm-eval's tasks that are mypt's too.
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")


class MyptLM(TemplateLM):
    """A checkpoint of any format that mypt opens.

    Args:
        path: Its name or path.
        batch_size: Number of texts at once; `auto` is 16.
        max_batch_size: Not used.
        device: Device of the model; by default a GPU where there is one.
        max_length: Number of tokens that the model sees; by default, and at most, `block_size`.
        max_gen_toks: Number of tokens to generate where a task says none.
        prefix_token_id: The id that precedes a text without a context; by default BOS, else EOS,
            else a newline, else 0.

    Raises:
        MyptError: It cannot be opened, or has no tokenizer.
    """

    def __init__(
        self,
        path: str,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,  # noqa: ARG002 -- lm-eval always gives it
        device: str | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        prefix_token_id: int | None = None,
    ) -> None:
        """Load the checkpoint."""
        super().__init__()
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = mypt.load(path, device=place)
        self._tokenizer = self.model.need_tokenizer()
        self._path, self._device = path, torch.device(place)
        self._prefix = prefix_token_id
        self.max_length = min(
            max_length or self.model.config.block_size, self.model.config.block_size
        )
        self.max_gen_toks = max_gen_toks
        is_automatic = str(batch_size).startswith("auto")
        self.batch_size = AUTOMATIC_BATCH_SIZE if is_automatic else int(batch_size)

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer in lm-eval's caches."""
        return self._path.replace("/", "__")

    @property
    def _ends(self) -> tuple[int, ...]:
        state = self.model.tokenizer_state
        return () if state is None else state.special_tokens.eos

    @property
    def eot_token_id(self) -> int | None:
        """The id that ends a text; None where the vocabulary has none."""
        return next(iter(self._ends), None)

    @property
    def prefix_token_id(self) -> int:
        """The id that precedes a text without a context."""
        if self._prefix is not None:
            return self._prefix
        state = self.model.tokenizer_state
        known = (*(() if state is None else state.special_tokens.bos), *self._ends)
        return known[0] if known else self._id_of_newline()

    def _id_of_newline(self) -> int:
        try:
            return next(iter(self._tokenizer.encode("\n")), 0)
        except mypt.DataError:  # a vocabulary of characters without it
            return 0

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Return the ids of a text, after those that begin every text of this model.

        Args:
            string: The text.
            add_special_tokens: Whether those come first; by default, unless the text has them.
        """
        begin = self.model.begin_ids
        if add_special_tokens is None and begin:
            add_special_tokens = not string.startswith(self._tokenizer.decode(begin[:1]))
        return [*(begin if add_special_tokens else ()), *self._tokenizer.encode(string)]

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """Score continuations, those of about one length together.

        Returns:
            Of each its log-probability, in nats, and whether each token is the likeliest.

        Raises:
            ValueError: A continuation has more tokens than the model sees.
        """
        found: dict[int, tuple[float, bool]] = {}
        order = sorted(range(len(requests)), key=lambda n: -sum(map(len, requests[n][1:])))
        progress = tqdm(total=len(requests), disable=disable_tqdm, desc="Scoring continuations")
        for batch in _cut(order, self.batch_size):
            chosen = [requests[number] for number in batch]
            for number, answer in zip(batch, self._score(chosen), strict=True):
                found[number] = answer
                if (texts := requests[number][0]) is not None:
                    self.cache_hook.add_partial("loglikelihood", texts, answer)
            progress.update(len(batch))
        progress.close()
        return [found[number] for number in range(len(requests))]

    @torch.inference_mode()
    def _score(self, requests: Sequence[Request]) -> Iterator[tuple[float, bool]]:
        """Score one batch: rows are padded at their ends, which changes nothing before them."""
        rows = [self._cut_context(context, wanted) for _, context, wanted in requests]
        idx = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for row, ids in zip(idx, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        logits = self.model(idx.to(self._device))  # (B, T, V)
        for number, (ids, (_, _, wanted)) in enumerate(zip(rows, requests, strict=True)):
            own = logits[number, len(ids) - len(wanted) : len(ids)].float()
            targets = torch.tensor(wanted, device=self._device)
            log_probs = own.log_softmax(-1).gather(-1, targets[:, None])
            yield float(log_probs.sum()), bool((own.argmax(-1) == targets).all())

    def _cut_context(self, context: list[int], wanted: list[int]) -> list[int]:
        """Return what the model reads: as much of the context as it sees, and all but the end."""
        if len(wanted) > self.max_length:
            message = f"a continuation of {len(wanted)} tokens: the model sees {self.max_length}"
            raise ValueError(message)
        return (context + wanted)[-(self.max_length + 1) :][:-1]

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Compute the log-probabilities of whole texts, in nats; lm-eval cuts them into windows."""
        windows: list[Request] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            (text,) = request.args
            cut = get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            own: list[Request] = [(None, *make_disjoint_window(window)) for window in cut]
            windows += own
            owners += [number] * len(own)
        totals = [0.0] * len(requests)
        scores = self._loglikelihood_tokens(windows, disable_tqdm=disable_tqdm)
        for number, (total, _) in zip(owners, scores, strict=True):
            totals[number] += total
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Continue texts, those with equal settings together."""
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(repr(request.args[1]), []).append(number)
        found: dict[int, str] = {}
        progress = tqdm(total=len(requests), disable=disable_tqdm, desc="Generating texts")
        for numbers in groups.values():
            settings = requests[numbers[0]].args[1]
            texts = self._continue([requests[number].args[0] for number in numbers], settings)
            for number, text in zip(numbers, texts, strict=True):
                found[number] = text
                self.cache_hook.add_partial("generate_until", requests[number].args, text)
                progress.update()
        progress.close()
        return [found[number] for number in range(len(requests))]

    def _continue(self, contexts: Iterable[str], settings: dict[str, Any]) -> Iterator[str]:
        """Yield the continuation of each context.

        Raises:
            ValueError: There is a setting that mypt has not.
        """
        options = normalize_gen_kwargs(settings, self.max_gen_toks)
        most: int = options.pop("max_gen_toks")
        end = self.eot_token_id
        ending = None if end is None else self._tokenizer.decode([end])
        until = handle_stop_sequences(options.pop("until", None), eos=ending)
        room = self.max_length - most  # of a context; mypt goes on where there is none
        prompts = [self.tok_encode(context) for context in contexts]
        continued = self.model.generate_many(
            [ids[-room:] if room > 0 else ids for ids in prompts],
            most,
            stop=[stop for stop in until if stop],
            stop_tokens=self._ends,
            batch_size=self.batch_size,
            **_convert_sampling(options),
        )
        return (continuation.text for continuation in continued)


def _convert_sampling(options: dict[str, Any]) -> dict[str, Any]:
    """Return mypt's sampling options; what lm-eval does not say is not limited."""
    is_drawn = options.pop("do_sample", False)
    unknown = options.keys() - set(_SAMPLING)
    if unknown:
        message = f"mypt has no setting {', '.join(sorted(unknown))}; it has {', '.join(_SAMPLING)}"
        raise ValueError(message)
    given = {"temperature": 1.0, "top_p": None, **options}
    given = given if is_drawn else {**given, "temperature": 0.0}
    return {name: None if name == "top_k" and not value else value for name, value in given.items()}


def _cut(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Yield the numbers, so many at a time."""
    left = iter(numbers)
    while batch := list(islice(left, size)):
        yield batch
