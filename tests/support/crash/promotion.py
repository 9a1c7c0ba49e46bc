"""Scenes of a training run whose next save makes a new gold model and prunes a numbered one."""

import contextlib
import functools
import json
import shutil
import tempfile
from pathlib import Path

from mypt.engine.config.precedence import TrainRequest
from mypt.engine.training.launch import run_training
from mypt.format.bundle.read import read_bundle
from mypt.format.storage.files import BUNDLE_FILES, MANIFEST
from mypt.plugins.manager import load_plugins
from tests.support.crash.scene import Scene, whole_bundle
from tests.support.resume.remains import differences

SHAPE = {"block_size": 4, "n_embd": 4, "n_head": 1, "n_layer": 0, "batch_size": 4, "device": "cpu"}
# All of it warm-up, so that the learning rate of a step does not depend on where the run ends.
RUN = {"learning_rate": 0.02, "warmup_iters": 3, "eval_interval": 1, "eval_iters": 1}
RUN |= {"snapshot_interval": 1, "keep_snapshots": 1}
FOLDERS = ("dante_gold", "dante_fp16", "dante")  # in the order in which they are saved


def train(place, max_iters):
    """Go on to a step, in the way of `mypt train`; every step is better than the one before."""
    request = TrainRequest(
        model_name="dante",
        architecture=SHAPE,
        training={**RUN, "input_file": "input.txt", "max_iters": max_iters},
        tokenization="char",
    )
    with contextlib.chdir(place):
        run_training(request, load_plugins(), quiet=True)


def prepare(place):
    (place / "input.txt").write_text("abcd" * 100)
    train(place, 1)


def prepare_without_copies(place):
    prepare(place)
    for folder in set((place / "checkpoints").iterdir()) - {place / "checkpoints" / "dante"}:
        shutil.rmtree(folder)


def told(folder):
    """Give the step of a bundle, None where there is none, and what must be as in any other run."""
    if not any((folder / name).exists() for name in (*BUNDLE_FILES, MANIFEST)):
        return None, None
    files = whole_bundle(folder)
    del files["training_state.json"]  # tells of times, and where the run began
    state = read_bundle(folder).training_state
    return state.step, (files, state.gold, state.exact)


def all_told(place):
    """Give what each bundle of the run tells, by its name; a hidden one is none yet, or no more."""
    tales = {folder.name: told(folder) for folder in (place / "checkpoints").glob("[!.]*")}
    return {name: tale for name, tale in tales.items() if tale[0] is not None}


@functools.cache
def unbroken():
    """Give what each bundle tells after steps 1, 2 and 3 of a run that nobody interrupts."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        prepare(place)
        tales = {}
        for step in (1, 2, 3):
            train(place, step)
            tales[step] = all_told(place)
            numbered = f"dante_step{step:08d}"
            assert tales[step].keys() == {*FOLDERS, numbered}
            assert {step for step, _ in tales[step].values()} == {step}
        return tales


def find(place):
    """Give the steps of gold, half-precision and own bundle, and those of the numbered ones."""
    tales = all_told(place)
    for name, (step, tale) in tales.items():
        assert unbroken()[step][name] == (step, tale)
    gold, copy, latest = (tales.get(name, (None,))[0] for name in FOLDERS)
    assert gold is None or gold >= latest  # every step is a better gold than the one before
    assert set(announced(place)) <= set(range((gold or 1) + 1))  # step 1 is of the preparation
    numbered = sorted(step for name, (step, _) in tales.items() if name not in FOLDERS)
    return f"{gold} {copy} {latest} {numbered}"


def announced(place):
    """Give the steps of which the log says that they became gold."""
    path = place / "logs" / "train" / "dante_eval.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return [event["iter"] for event in events if event["event"] == "gold_checkpoint"]


def train_on(place):
    train(place, 3)
    assert announced(place) == sorted({*announced(place), 3})  # none twice
    assert differences(all_told(place), unbroken()[3]) == []
    assert {path.name for path in (place / "checkpoints").iterdir()} == unbroken()[3].keys()
    for name in unbroken()[3]:
        folder = place / "checkpoints" / name
        files = {*read_bundle(folder).paths, MANIFEST}
        assert {path.name for path in folder.iterdir()} == files


def promoting(name, prepare, *stages, tolerated=()):
    return Scene(
        name,
        prepare,
        act=lambda place: train(place, 2),
        find=find,
        finish=train_on,
        stages=stages,
        tolerated=tolerated,
    )


SCENES = [
    promoting(
        "promote and prune",
        prepare,
        *("1 1 1 [1]", "2 1 1 [1]", "2 1 1 [1, 2]", "2 2 1 [1, 2]", "2 2 1 [2]", "2 2 2 [2]"),
        tolerated=("2 2 2 [1, 2]",),  # a copy that cannot be removed is tried again the next time
    ),
    promoting(
        "promote the first",
        prepare_without_copies,
        *("None None 1 []", "2 None 1 []", "2 None 1 [2]", "2 2 1 [2]", "2 2 2 [2]"),
    ),
]
