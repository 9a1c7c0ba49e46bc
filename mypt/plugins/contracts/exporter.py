"""Exporters: models in the forms of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingState
    from mypt.format.errors import Problem
    from mypt.plugins.contracts.factory import JsonSchema, Options
    from mypt.plugins.contracts.tokenizer import Tokenizer


@frozen(kw_only=True)
class ModelToExport:
    """A model that an exporter writes.

    Attributes:
        config: Its architecture.
        weights: Its tensors by mypt's names, on the CPU, tied ones under both.
        tokenizer: Its vocabulary; None where it has none.
        training_state: How it was trained; None where nothing is known of it.
        losses: Those of its last evaluation by split, `train` and `val`, in nats per token; without
            what is not known.
        remarks: What is to be told of it, a line each.
        build_tokenizer: Builds its tokenizer; raises a `FormatError` or a `PluginError` where there
            is none, or its plugin is not here.
    """

    config: GPTConfig
    weights: Mapping[str, Tensor]
    tokenizer: TokenizerState | None
    training_state: TrainingState | None
    losses: Mapping[str, float]
    remarks: tuple[str, ...]
    build_tokenizer: Callable[[], Tokenizer]


@frozen
class ExporterFactory:
    """A form of another program that a plugin writes.

    Attributes:
        name: Its name behind `--to`.
        title: The program, for help texts and reports, such as `Hugging Face`.
        explain: Returns why a model of a config cannot be written, each problem with the nearest
            setting that can; none if it can. Needs no torch: it is asked before training as well.
        write: Writes a model of a config that it can to a path that does not exist, as a file or
            a folder, with options that match `options`; returns notes on what was folded or left
            out, one line each. The path is beside the real one: mypt renames it when it is
            complete.
        options: JSON Schema of the options: the names that `--option` takes.
        takes_adapters: Whether it writes adapters and nothing else: `explain` and `write` get the
            config and the tensors of one as they are. Any other exporter gets them merged with
            their base.
    """

    noun: ClassVar[str] = "exporter"

    name: str
    title: str
    explain: Callable[[GPTConfig], Sequence[Problem]] = field(kw_only=True)
    write: Callable[[ModelToExport, Path, Options], Sequence[str]] = field(kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)
    takes_adapters: bool = field(default=False, kw_only=True)
