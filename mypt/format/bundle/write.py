"""Write a bundle: its files as bytes, and their commit."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import evolve

from mypt.format.bundle.edits import record_documents
from mypt.format.bundle.examine import KINDS
from mypt.format.documents.convert import to_recorded_document
from mypt.format.errors import FormatError
from mypt.format.rules.cross_file import digest_problem
from mypt.format.rules.requirements import Requirements
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.tensors.pt_writer import write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from _typeshed import SupportsWrite
    from torch import Tensor, dtype

    from mypt.format.bundle.read import Bundle
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingState
    from mypt.format.schema.check import Kind
    from mypt.format.storage.commit import BundleWriter, Content
    from mypt.format.tensors.info import DeferredTensor

_CHUNK_BYTES = 1 << 20


def bundle_files(
    config: GPTConfig,
    tokenizer: TokenizerState | None,
    training_state: TrainingState | None,
    weights: Mapping[str, Tensor | DeferredTensor],
    optimizer: Mapping[str, Any] | None,
    weights_dtype: dtype | None = None,
    requirements: Requirements | None = None,
) -> dict[str, Content]:
    """Return the files of a bundle, for `BundleWriter.commit`.

    Args:
        config: Architecture.
        tokenizer: Vocabulary.
        training_state: Progress; its `optimizer_file` follows from `optimizer`.
        weights: By name, on any device. They must not change until they are written.
        optimizer: Content of `optimizer.pt`. It must not change until it is written.
        weights_dtype: Type of the weights on disk; None for their own.
        requirements: The plugins that the bundle requires; None for none.

    Raises:
        ValueError: A document breaks its schema or holds NaN (a caller's bug).
    """
    needs = requirements or Requirements()
    config = evolve(config, requires=needs.complete("config", config.requires))
    content: dict[str, Content] = {files.CONFIG: _encode_document("config", config)}
    if tokenizer is not None:
        tokenizer = evolve(tokenizer, requires=needs.complete("tokenizer", tokenizer.requires))
        content[files.TOKENIZER] = _encode_document("tokenizer", tokenizer)
    if training_state is not None:
        name = files.OPTIMIZER if optimizer is not None else None
        required = needs.complete("training_state", training_state.requires)
        state = evolve(training_state, optimizer_file=name, requires=required)
        content[files.TRAINING_STATE] = _encode_document("training_state", state)
    content[files.MODEL] = lambda stream: write_tensors(stream, weights, weights_dtype)
    if optimizer is not None:
        content[files.OPTIMIZER] = lambda stream: write_tensors(stream, optimizer)
    return content


def save_bundle(
    writer: BundleWriter,
    *,
    config: GPTConfig,
    tokenizer: TokenizerState | None,
    training_state: TrainingState | None = None,
    weights: Mapping[str, Tensor | DeferredTensor],
    optimizer: Mapping[str, Any] | None = None,
    weights_dtype: dtype | None = None,
    written_by: str,
    requirements: Requirements | None = None,
    check: Callable[[Mapping[str, Path]], None] | None = None,
) -> Manifest:
    """Commit a model as the next generation of a bundle.

    Args:
        writer: Holder of the bundle's lock.
        config: Architecture.
        tokenizer: Vocabulary.
        training_state: Progress; None for a bundle that only inference needs.
        weights: By name, on any device.
        optimizer: Content of `optimizer.pt`.
        weights_dtype: Type of the weights on disk; None for their own.
        written_by: Program and version.
        requirements: The plugins that the bundle requires; None for none.
        check: As `BundleWriter.commit` takes it.

    Raises:
        SaveError: The disk did not take it; the generation before is whole.
        ValueError: A document breaks its schema or holds NaN; nothing was written (a caller's bug).
    """
    content = bundle_files(
        config, tokenizer, training_state, weights, optimizer, weights_dtype, requirements
    )
    return writer.commit(
        content,
        written_by=written_by,
        plugins=None if requirements is None else requirements.plugins,
        documents=record_documents(content),
        check=check,
    )


def copy_bundle(
    bundle: Bundle, writer: BundleWriter, state: TrainingState, *, written_by: str
) -> Manifest:
    """Commit the files of a bundle as the next generation of another one, byte for byte.

    Args:
        bundle: What is copied.
        writer: Holder of the other bundle's lock.
        state: The training state to write instead of its own.
        written_by: Program and version.

    Raises:
        FormatError: A file is not what was saved, or another generation has replaced it.
        SaveError: The disk did not take it.
        OSError: A file cannot be read.
    """
    content: dict[str, Content] = {}
    with ExitStack() as stack:
        for name in bundle.paths:
            stream = bundle.with_file(name, partial(files.open_regular, file=name))
            stack.enter_context(stream)
            content[name] = stream.read() if name in KINDS else partial(_copy_stream, stream)
        content[files.TRAINING_STATE] = _encode_document("training_state", state)
        manifest = writer.commit(
            content,
            written_by=written_by,
            plugins=bundle.needs,
            documents=record_documents(content),
        )
    for name, record in bundle.manifest.files.items() if bundle.manifest else ():
        if name not in KINDS and manifest.files[name] != record:
            raise FormatError(digest_problem(str(bundle.folder / name)))
    return manifest


def _copy_stream(stream: BinaryIO, target: SupportsWrite[bytes | memoryview]) -> None:
    while chunk := stream.read(_CHUNK_BYTES):
        target.write(chunk)


def _encode_document(kind: Kind, value: Any) -> bytes:
    data = strict_json.dump(to_recorded_document(value))
    problems = check_document(kind, strict_json.parse(data, kind), kind)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        raise ValueError("\n".join(errors))
    return data
