"""The decoder-only transformer, assembled from the parts that its config names."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mypt.format.documents.construction import raise_field_errors
from mypt.format.documents.convert import to_document
from mypt.format.errors import ConfigError, FormatError, PluginError, Problem
from mypt.format.layout import HEAD, expected_tensors
from mypt.format.rules.arguments import checked, optional, whole_number
from mypt.format.rules.documents import document_problems
from mypt.format.storage import files
from mypt.model.assembly import Assembly, restore_buffers
from mypt.model.contexts import (
    PassContexts,
    count_places,
    list_kinds,
    number_documents,
    recompute_layer,
)
from mypt.model.kv_cache import KVCache
from mypt.model.part_failures import explain_failure, name_foreign_parts, naming_failures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Shape
    from mypt.plugins.contracts.training import TokenLoss
    from mypt.plugins.manager import Plugins
    from mypt.plugins.parts import Contexts

# The kind of a part that builds other tensors than its plugin declares.
LAYOUT = "plugin.part"
_trusted: ContextVar[GPTConfig | None] = ContextVar("trusted", default=None)


@contextmanager
def trust_config(config: GPTConfig | None) -> Iterator[None]:
    """Build models of this very config without checking it: opening its bundle has done so.

    Any other config is checked as always, also one that is equal to it.
    """
    before = _trusted.set(config)
    try:
        yield
    finally:
        _trusted.reset(before)


class Transformer(nn.Module):
    """A GPT that works on token ids.

    The names and the order of the parameters are those of `mypt.format.layout.expected_tensors`;
    they are part of the checkpoint format.

    Attributes:
        config: The architecture.
        plugins: Where its parts were looked up.
        parts: Its parts, each after those within it.
        activation_checkpointing: Whether training keeps only each layer's input, and recomputes
            the rest in the backward pass.
        document_end: The id of the token that ends a document: in `loss`, positions attend only to
            those of their own document. None lets them attend to all before.
    """

    activation_checkpointing: bool = False
    document_end: int | None = None

    def __init__(self, config: GPTConfig, plugins: Plugins) -> None:
        """Assemble the parts; weights have torch's defaults until `initialise` or `load_weights`.

        Args:
            config: The architecture.
            plugins: Where the parts are looked up.

        Raises:
            ConfigError: The config is invalid, or no registered plugin provides a part.
            PluginError: A part does not match what its plugin declares.
        """
        if config is not _trusted.get():
            _check_config(config, plugins)
        if config.adapter is not None:
            what = "is set, and a model is built whole, before its adapter is put beside it"
            fix = "load the adapter, or build the base and call add_adapter"
            raise ConfigError(Problem("", "adapter", what, fix, kind="adapter"))
        super().__init__()
        self.config = config
        self.plugins = plugins
        assembly = Assembly(config, plugins)
        self.token_embedding_table: Any = assembly.build("embedding_type")
        self.position_embedding_table: Any = assembly.build("pos_encoding")
        self.blocks: Any = assembly.build("stack_type")
        self.ln_f = assembly.build("norm_type") if config.has_final_norm else nn.Identity()
        self.lm_head: Any = assembly.build("head_type")
        self.parts = assembly.parts
        self._kinds = list_kinds(config)
        self._tie_head()
        self._check_layout(expected_tensors(config, plugins.layouts))

    def forward(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Compute the logits of the token after each position.

        Args:
            idx: Ids, (B, T) int64; together with `cache` at most block_size positions.
            cache: Keys and values of the positions before `idx`, extended by this call.

        Returns:
            (B, T, vocab_size).

        Raises:
            ConfigError: There are more positions than block_size.
        """
        logits: Tensor = self.lm_head(self._compute_hidden(idx, cache))
        return logits

    def hidden(self, idx: Tensor) -> Tensor:
        """Compute the last hidden states, which the output layer reads.

        Args:
            idx: Ids, (B, T) int64 with T <= block_size.

        Returns:
            (B, T, n_embd), after the last norm.

        Raises:
            ConfigError: There are more positions than block_size.
        """
        return self._compute_hidden(idx, None)

    def next_logits(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Compute only the logits of the token after `idx`, (B, vocab_size); see `forward`."""
        logits: Tensor = self.lm_head(self._compute_hidden(idx, cache)[:, -1])
        return logits

    @checked(capacity=optional(whole_number(1)))
    def make_cache(self, capacity: int | None = None) -> KVCache:
        """Make a cache of the positions before those of a pass; it takes no memory until then.

        Args:
            capacity: Number of positions that fit; at most, and by default, block_size.

        Raises:
            ConfigError: The capacity is no whole number, or below 1.
        """
        room = self.config.block_size
        return KVCache(self.blocks.make_cache(room if capacity is None else min(capacity, room)))

    def loss(
        self,
        idx: Tensor,
        targets: Tensor,
        loss_mask: Tensor | None = None,
        token_loss: TokenLoss | None = None,
        *,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Compute the training loss, without storing full logits if they are large.

        Args:
            idx: Ids, (B, T) int64 with T <= block_size.
            targets: The id after each position, (B, T) int64.
            loss_mask: Weight of each position from 0 to 1, (B, T).
            token_loss: The loss of each position, as `build_loss` returns it; None for the cross
                entropy.
            segments: The number within its row of the text that each position is in, (B, T) int64,
                never falling; each text is computed as if it were alone. None if a row is one text.

        Returns:
            Scalar, in nats per token: the mean, or with a mask sum(loss * mask) / sum(mask); NaN,
            with gradients of 0, where no position counts.

        Raises:
            ConfigError: There are more positions than block_size.
        """
        hidden = self._compute_hidden(idx, None, segments, self._number_texts(idx, segments))
        given = {} if token_loss is None else {"token_loss": token_loss}
        with naming_failures(self):
            loss: Tensor = self.lm_head.loss(hidden, targets, loss_mask, **given)
        return loss

    def log_likelihoods(self, idx: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute how likely the targets of each row are, without storing full logits.

        Args:
            idx: Ids, (B, T) int64 with T <= block_size.
            targets: The id after each position, (B, T) int64.
            mask: Weight of each position, (B, T), some above 0 in each row; by default all count.

        Returns:
            (B,): the sum of the logarithms of the probabilities of the targets in nats, each times
            its weight.

        Raises:
            ConfigError: There are more positions than block_size.
        """
        hidden = self._compute_hidden(idx, None)
        weights = torch.ones_like(targets, dtype=torch.float32) if mask is None else mask
        with naming_failures(self):
            rows = [
                -self.lm_head.loss(row[None], ids[None], weight[None]) * weight.sum()
                for row, ids, weight in zip(hidden, targets, weights, strict=True)
            ]
        return torch.stack(rows)

    def load_weights(
        self,
        tensors: Mapping[str, Tensor],
        *,
        dtype: torch.dtype | None = torch.float32,
        file: str = files.MODEL,
    ) -> None:
        """Load weights without copying; those of another dtype are converted one by one.

        Tensors that already have the dtype are not copied: memory-mapped ones stay mapped, the
        model moves to their device, and a model built under `torch.device("meta")` becomes real.
        If the head is tied, the token embedding is used.

        Args:
            tensors: Tensors by name, as returned by `state_dict`.
            dtype: The dtype to convert to; None keeps each tensor's own.
            file: Name of their file, for messages.

        Raises:
            FormatError: A tensor is missing, unknown to this architecture, or has the wrong shape.
        """
        self.check_shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()}, file)
        weights = {
            name: tensor.to(dtype or tensor.dtype)
            for name, tensor in tensors.items()
            if not (self.config.tie_weights and name == HEAD)
        }
        self.load_state_dict(weights, strict=False, assign=True)
        self._tie_head()
        restore_buffers(self)

    def check_shapes(self, found: Mapping[str, Shape], file: str = files.MODEL) -> None:
        """Raise if tensors are not those of this architecture.

        Args:
            found: Shapes by name.
            file: Name of their file, for messages.

        Raises:
            FormatError: A tensor is missing, unknown to this architecture, or has the wrong shape.
        """
        expected = {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
        problems = list(_find_differences(expected, found, file))
        if problems:
            raise FormatError(*problems)

    def _number_texts(self, idx: Tensor, segments: Tensor | None) -> Tensor | None:
        """Return a number for each position that is that of those it attends to, (B, T) int64."""
        if self.document_end is None:
            return segments
        documents = number_documents(idx, self.document_end)
        return documents if segments is None else documents + segments  # neither falls

    def _compute_hidden(
        self,
        idx: Tensor,
        cache: KVCache | None,
        segments: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> Tensor:
        """Compute the input of the output layer, (B, T, n_embd).

        Raises:
            PluginError: A part of a plugin failed.
        """
        try:
            return self._apply_parts(idx, cache, segments, documents)
        except Exception as error:
            explained = explain_failure(self, error)
            if explained is None:
                raise
            raise explained from error

    def _apply_parts(
        self,
        idx: Tensor,
        cache: KVCache | None,
        segments: Tensor | None,
        documents: Tensor | None,
    ) -> Tensor:
        start = 0 if cache is None else cache.length
        x, contexts = self._embed(idx, start, segments, documents)
        x = self.blocks(x, idx, contexts, None if cache is None else cache.layers)
        if cache is not None:
            cache.length += idx.size(1)
        return self.ln_f(x)  # type: ignore[no-any-return]

    def _embed(
        self, idx: Tensor, start: int, segments: Tensor | None, documents: Tensor | None
    ) -> tuple[Tensor, Contexts]:
        """Compute the input of the layers, (B, T, n_embd), and what makes their contexts."""
        length = idx.size(1)
        self._check_length(start, start + length)
        key_positions = torch.arange(start + length, device=idx.device)
        placement = self.position_embedding_table(key_positions[start:], key_positions)
        x: Tensor = self.token_embedding_table(idx)
        embedding = placement.embedding
        if embedding is not None:
            x = x + (embedding if segments is None else embedding[count_places(segments)])
        recomputes = self.activation_checkpointing and torch.is_grad_enabled()
        apply = recompute_layer if recomputes else None
        contexts = PassContexts(self._kinds, placement, start, length, idx.device, apply, documents)
        return x, contexts

    def _check_length(self, start: int, end: int) -> None:
        if end > self.config.block_size:
            raise _make_too_long_error(end, self.config.block_size)
        if start and end > self.config.cacheable_length:
            what = f"holds positions up to {end}, of which only {self.config.cacheable_length} can"
            fix = "compute longer texts without a cache"
            raise ConfigError(Problem("", "cache", f"{what} be cached with this rope_scaling", fix))

    def _tie_head(self) -> None:
        if self.config.tie_weights:
            self.lm_head.weight = self.token_embedding_table.weight

    def _check_layout(self, expected: Mapping[str, Shape]) -> None:
        """Raise if a plugin's part has other tensors than validation will look for."""
        found = {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
        if list(found.items()) != list(expected.items()):
            differing = sorted(set(expected.items()) ^ set(found.items())) or "their order"
            what = f"the tensors of {name_foreign_parts(self)} are not those declared: {differing}"
            fix = "correct `tensors` of its PartFactory, or the module that it builds"
            raise PluginError(Problem("", "", what, fix, kind=LAYOUT))


def _check_config(config: GPTConfig, plugins: Plugins) -> None:
    """Raise if there can be no such model, or a part is of no registered plugin."""
    known = plugins.layouts, plugins.settings
    raise_field_errors(document_problems("config", to_document(config), "", *known), "/")


def _find_differences(
    expected: Mapping[str, Shape], found: Mapping[str, Shape], file: str
) -> Iterator[Problem]:
    fix = "restore the file, or the config.json that belongs to it"
    for name, shape in expected.items():
        if name not in found:
            yield Problem(file, name, "is missing", fix, kind="tensor.missing")
        elif found[name] != shape:
            what = f"has the shape {found[name]}, but the config says {shape}"
            yield Problem(file, name, what, fix, kind="tensor.shape")
    for name in found.keys() - expected.keys():
        what = "is not part of this architecture"
        yield Problem(file, name, what, fix, kind="tensor.unknown")


def _make_too_long_error(length: int, block_size: int) -> ConfigError:
    what = f"holds {length} tokens, but the model's block_size is {block_size}"
    return ConfigError(Problem("", "idx", what, f"pass at most {block_size} at once"))
