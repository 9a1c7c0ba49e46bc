"""What all processes of a run have to begin with: the same checkpoint, data, settings, versions.

Each process reads files of its own. On machines without a common disk these may be others, and no
later step would notice: gradients are averaged, whatever they are of.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from mypt.engine.language_model import tokenizer_or_stand_in
from mypt.engine.runtime.world import ProcessError
from mypt.engine.training.reproducibility import environment_of
from mypt.format.documents.convert import to_document
from mypt.format.errors import Problem
from mypt.format.opened import digest_tensor_files
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.data.curriculum import Phases
    from mypt.engine.config.precedence import ResolvedRun
    from mypt.engine.language_model import LanguageModel
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import Ancestor, DataFingerprint
    from mypt.format.opened import Opened

    Facts = Iterator[tuple[str, object]]

# Where things lie may differ between machines; what lies there is compared.
_PLACES = frozenset(
    {
        "chat_template",
        "config_file",
        "curriculum",
        "dataset_dir",
        "eval_dataset_dir",
        "eval_sets",
        "init_from_model",
        "input_file",
        "log_file",
        "mixture",
        "val_file",
    }
)
_NONE = "none"
_SHOWN = 3
_LONGEST = 20


def ensure_same_start(world: World, describe: Callable[[], Facts]) -> None:
    """Raise, in every process alike, if one of them begins with something else than the first.

    Args:
        world: The processes; in a world of one nothing is described.
        describe: Yields what this process begins with, by name; values are compared as texts.

    Raises:
        ProcessError: One begins with something else; the message names it, its machine, and what
            differs.
    """
    if world.size == 1:
        return
    with world.stage("description"):
        mine = {name: str(value) for name, value in describe()}
    said = world.exchange("start", json.dumps([str(world), mine]))
    (first, wanted), *others = map(json.loads, said)
    differing = [(name, facts) for name, facts in others if facts != wanted]
    if not differing:
        return
    name, facts = differing[0]
    more = f", and so do {len(differing) - 1} more" if len(differing) > 1 else ""
    what = f"{name} differs from {first} in {_list_differences(wanted, facts)}{more}"
    fix = (
        "give every process the same command, packages, data and checkpoints/, on a common disk or"
        " as copies"
    )
    raise ProcessError(Problem("", "", what, fix, kind="world.start"))


def _list_differences(wanted: Mapping[str, str], facts: Mapping[str, str]) -> str:
    pairs = {
        name: (facts.get(name, _NONE), wanted.get(name, _NONE)) for name in {**wanted, **facts}
    }
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    shown = [
        f"{name} ({_shorten(here)}, not {_shorten(there)})"
        for name, (here, there) in [*differing.items()][:_SHOWN]
    ]
    more = len(differing) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _shorten(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."


def describe_request(run: ResolvedRun, opened: Opened | None) -> Facts:
    """Yield the checkpoint that a run goes on from, and its settings.

    The digests of files of tensors are those of the manifest, which are compared with the files
    before a resume; documents may be edited by hand, and are described as they were read.
    """
    state = None if opened is None else opened.training_state
    yield "step", _NONE if state is None else state.step
    if opened is not None:
        yield from digest_tensor_files(opened).items()
    if state is not None:
        yield files.TRAINING_STATE, _digest(to_document(state))
    for document in (run.config, run.training):
        for name, value in to_document(document, versioned=False).items():
            if name not in _PLACES:
                yield name, json.dumps(value, sort_keys=True)
    for phase in run.training.curriculum:
        yield f"phase {phase.name}", phase.until_iter


def describe_contents(
    model: LanguageModel,
    run: ResolvedRun,
    lineage: tuple[Ancestor, ...],
    phases: Phases,
    eval_loaders: Mapping[str, GPTDataLoader],
) -> Facts:
    """Yield what a run computes with: data, vocabulary, first weights, and versions.

    Args:
        model: The model; its weights are those of the checkpoint or of the seed.
        run: The settings.
        lineage: Models that a new model's weights came from.
        phases: The data to train on.
        eval_loaders: Further evaluation sets, by name.
    """
    yield "data", _describe_data(phases.fingerprint)
    for name, loader in eval_loaders.items():
        yield f"evaluation set {name}", _describe_data(loader.fingerprint)
    if lineage:
        yield "first weights", lineage[-1].sha256
    yield "tokenizer", _digest(tokenizer_or_stand_in(model).state())
    environment = environment_of(model, run.training)
    yield "mypt", environment.mypt
    yield "torch", environment.torch
    yield "device", environment.device
    for package, need in environment.plugins.items():
        yield f"plugin {package}", need["version"]


def _describe_data(data: DataFingerprint) -> str:
    return f"{data.train_tokens + data.val_tokens:,} tokens {data.sha256}"


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
