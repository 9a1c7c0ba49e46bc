"""Scenes of saving a bundle, of known bytes, over what may be there before."""

import io

import torch

from mypt.format.bundle.write import bundle_files
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.parameter_rules import split_by_decay
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import tagged_name
from tests.support.crash.scene import Scene, tree, whole_bundle

CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)


def generation(value, *, optimizer):
    """Give the files of a bundle whose every tensor is filled with one value, as bytes."""
    shapes = expected_tensors(CONFIG, BUILT_IN)
    weights = {name: torch.full(shape, value) for name, shape in shapes.items()}
    halves = split_by_decay(shapes, "linear")
    first = halves[0][0]
    moments = {name: torch.full(shapes[first], value) for name in ("exp_avg", "exp_avg_sq")}
    settings = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    adamw = optimizer_document(
        "adamw",
        {first: {"step": torch.tensor(value), **moments}},
        [(half, settings) for half in halves],
    )
    tokenizer = TokenizerState(token_kind="char", chars=("a", "b", "c"))
    state = TrainingState(step=int(value))
    files = {}
    for name, content in bundle_files(
        CONFIG, tokenizer, state, weights, adamw if optimizer else None
    ).items():
        stream = io.BytesIO()
        stream.write(content) if isinstance(content, bytes) else content(stream)
        files[name] = stream.getvalue()
    return files


OLD = generation(1.0, optimizer=True)
NEW = generation(2.0, optimizer=False)
LAST = generation(3.0, optimizer=True)


def save(folder, files):
    with open_for_writing(folder) as writer:
        writer.commit(files, written_by="the tests")


def bundle(place):
    save(place / "dante", OLD)


def folder_of_version_1(place):
    (place / "dante").mkdir()
    for name, data in OLD.items():
        (place / "dante" / name).write_bytes(data)


def nothing(place):
    """Where no model was saved before."""


def interrupted(place):
    """Die between the commit and the renames, after an older save had left its files too."""
    folder = place / "dante"
    save(folder, LAST)
    (folder / tagged_name("model.pt", 7)).write_bytes(b"left over")
    save(folder, OLD)
    (folder / "model.pt").rename(folder / tagged_name("model.pt", 2))
    (folder / "model.pt").write_bytes(LAST["model.pt"])


def find(place):
    found = whole_bundle(place / "dante")
    return {str(OLD): "old", str(NEW): "new"}.get(str(found), "a mixture")


def find_or_nothing(place):
    folder = place / "dante"
    if (folder / "manifest.json").exists():
        return find(place)
    assert not any((folder / name).exists() for name in NEW)
    return "old"


def save_again(place):
    save(place / "dante", LAST)
    found = tree(place / "dante")
    assert found.pop("manifest.json")
    assert found == LAST
    assert [path.name for path in place.iterdir()] == ["dante"]


def saving(prepare, find=find):
    return Scene(
        f"save over {prepare.__name__}".replace("_", " "),
        prepare,
        act=lambda place: save(place / "dante", NEW),
        find=find,
        finish=save_again,
    )


SCENES = [
    saving(bundle),
    saving(folder_of_version_1),
    saving(nothing, find_or_nothing),
    saving(interrupted),
]
