"""Read an adapter of peft, beside a base that mypt opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.export.hugging_face.classes import list_lookups
from mypt.export.peft.names import CONFIG, OTHER_WEIGHTS, WEIGHTS
from mypt.export.peft.products import read_products
from mypt.export.peft.settings import read_settings
from mypt.format.bundle.base import digest_weights
from mypt.format.bundle.detect import classify
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.format.documents.convert import to_document, to_recorded_document
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import BUILT_IN, are_parts_known, expected_tensors
from mypt.format.readers.adapters.convert import convert
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.hugging_face import reader as hugging_face
from mypt.format.readers.hugging_face.model import convert_model
from mypt.format.readers.hugging_face.weights import load_folder
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER
from mypt.format.storage.files import is_present, is_regular_file, read_document
from mypt.format.storage.recorded_paths import record_path
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.contract import Load
    from mypt.format.readers.shared.tensor_source import TensorSource

_OPTIONS = {
    "type": "object",
    "properties": {
        "base": {
            "type": "string",
            "description": "path of the model that the adapter is for: a bundle, or a folder of "
            "Hugging Face",
        }
    },
}


@frozen(kw_only=True)
class _Base:
    """The base of an adapter.

    Attributes:
        config: Its architecture.
        tokenizer: Fields of its `tokenizer.json`; None if it has none.
        lookups: Where its tensors may be in `transformers`, by mypt's names.
    """

    config: GPTConfig
    tokenizer: Mapping[str, Any] | None
    lookups: tuple[Mapping[str, TensorSource], ...]


def recognises(path: Path) -> bool:
    """Return whether this is a folder of an adapter alone."""
    if not is_regular_file(path / CONFIG) or is_present(path / hugging_face.CONFIG):
        return False
    return any(is_regular_file(path / name) for name in (WEIGHTS, OTHER_WEIGHTS))


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read an adapter; its base has to be known, for the architecture and the places of tensors.

    Raises:
        FormatError: It is damaged, is something that mypt's adapters cannot be, or its base is not
            named or cannot be read.
    """
    file = str(path / CONFIG)
    document, _ = read_document(path / CONFIG, file)
    settings = read_settings(document, file)
    place = _find_base(path, settings.base, options)
    base = _read_base(place, load)
    if not are_parts_known(base.config, BUILT_IN):
        what, fix = "has parts of plugins, whose adapters mypt does not read", "merge it with peft"
        raise FormatError(Problem(str(place), "", what, fix, kind="adapter.base"))
    weights = next(path / n for n in (WEIGHTS, OTHER_WEIGHTS) if is_regular_file(path / n))
    products = read_products(load(weights), settings, str(weights))
    sources = _choose_lookup(base.lookups, products)
    found = convert(_rename(products, sources), sources, base.config, str(weights))
    adapter = Adapter(
        rank=found.rank,
        alpha=found.alpha,
        targets=found.targets,
        dropout=settings.dropout,
        base=_record(place),
        base_sha256=digest_weights(place),
    )
    config = base.config.with_adapter(adapter)
    tensors = _complete(found.tensors, config, str(weights))
    return Checkpoint(
        version=FORMAT_VERSION,
        config=to_recorded_document(config),
        tokenizer=base.tokenizer,
        tensors=tensors,
        report=(f"read from {path.name}, an adapter of peft beside {place}",),
    )


def _find_base(path: Path, named: str | None, options: Mapping[str, Any]) -> Path:
    if "base" in options:
        return Path(options["base"])
    for place in () if named is None else (Path(named), path.parent / Path(named).name):
        if is_present(place):
            return place
    what = "does not hold the model that it is for" + (f", {named}" if named else "")
    raise missing_option(str(path), what, "base=PATH")


def _record(place: Path) -> str:
    """Return the path of the base as a config has it, and as it is found from here."""
    recorded = record_path(str(place))
    return recorded if is_present(Path(recorded)) else str(place)


def _read_base(place: Path, load: Load) -> _Base:
    """Read what has to be known of the base, but not its weights.

    Raises:
        FormatError: It is neither a bundle nor a folder of Hugging Face, or an adapter itself.
    """
    if classify(place) == "bundle":
        bundle = read_bundle(place)
        if bundle.config.adapter is not None:
            what, fix = "is an adapter itself", "merge it before: mypt merge"
            raise FormatError(Problem(str(place), "", what, fix, kind="adapter.base"))
        return _Base(
            config=bundle.config,
            tokenizer=None if bundle.tokenizer is None else to_document(bundle.tokenizer),
            lookups=tuple(list_lookups(bundle.config)),
        )
    if not hugging_face.recognises(place):
        what = "is neither a bundle nor a folder of Hugging Face"
        fix = "name the base of the adapter, or make a bundle of it: mypt format migrate"
        raise FormatError(Problem(str(place), "", what, fix, kind="adapter.base"))
    options = {} if is_regular_file(place / "tokenizer.json") else {"tokenizer": NO_TOKENIZER}
    whole = hugging_face.read(place, load, options)
    file = str(place / hugging_face.CONFIG)
    hf_config, _ = read_document(place / hugging_face.CONFIG, file)
    held = load_folder(place, load)
    model = convert_model(hf_config, held.tensors, held.places, config_file=file, file=str(place))
    return _Base(config=model.config, tokenizer=whole.tokenizer, lookups=(model.sources,))


def _choose_lookup(
    lookups: Iterable[Mapping[str, TensorSource]], products: Iterable[str]
) -> Mapping[str, TensorSource]:
    """Return the lookup that has the most of an adapter's modules."""
    modules = {*_with_short_names(products)}

    def count(sources: Mapping[str, TensorSource]) -> int:
        names = {n.removesuffix(".weight") for s in sources.values() for n in s.names}
        return len(modules & {*_with_short_names(names)})

    return max(lookups, key=count)


def _rename(products: Mapping[str, Any], sources: Mapping[str, TensorSource]) -> dict[str, Any]:
    """Return products under the names of the lookup, which may lack the prefix of a model."""
    names = {n.removesuffix(".weight") for s in sources.values() for n in s.names}
    short = {s: name for name in names for s in _with_short_names([name])}
    renamed = {}
    for module, product in products.items():
        known = [short[s] for s in _with_short_names([module]) if s in short]
        renamed[known[0] if known else module] = product
    return renamed


def _with_short_names(names: Iterable[str]) -> Iterator[str]:
    """Yield names of modules, as they are and without their first word."""
    for name in names:
        yield name
        yield name.partition(".")[2]


def _complete(tensors: Mapping[str, Any], config: GPTConfig, file: str) -> dict[str, Any]:
    """Return the tensors in mypt's order.

    Raises:
        FormatError: Not all layers have the same adapters.
    """
    missing = [name for name in expected_tensors(config, BUILT_IN) if name not in tensors]
    if missing:
        what, fix = "is missing: not all layers have the same adapters", "merge it with peft"
        raise FormatError(*(Problem(file, name, what, fix, kind="adapter") for name in missing[:5]))
    return {name: tensors[name] for name in expected_tensors(config, BUILT_IN)}


READER = ReaderFactory("peft", recognises=recognises, read=read, options=_OPTIONS)
