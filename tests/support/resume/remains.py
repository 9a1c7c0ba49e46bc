"""What a run leaves, without what differs between any two runs: times, and where it began."""

import hashlib
import json

from mypt.format.storage.files import MANIFEST, TRAINING_STATE
from tests.support.crash.scene import whole_bundle

_TIMES = ("timestamp", "started_at", "elapsed_s", "eval_duration_s")
_TIMES += ("total_elapsed_s", "total_elapsed_h", "steps_per_sec", "tokens_per_sec")
_TIMES += ("memory_bytes",)
# Told of each process; all other events are told of the run. One that is killed between a save and
# its line has saved without it.
_OF_A_PROCESS = ("training_start", "notice", "interrupted", "failed", "saved")


def remains(place, name="dante"):
    """Give all bundles of a model by their names, and the events of its log."""
    bundles = {folder.name: bundle(folder) for folder in (place / "checkpoints").iterdir()}
    return {"log": log(place / "logs" / "train" / f"{name}_eval.jsonl"), **bundles}


def bundle(folder, beside=()):
    """Give the digest of each file of a bundle, and its training state; nothing else is there.

    But for the files named by `beside`, which are not mypt's.
    """
    files = whole_bundle(folder)
    assert {path.name for path in folder.iterdir()} - {*beside} == {*files, MANIFEST}
    state = json.loads(files.pop(TRAINING_STATE))
    del state["elapsed_s"], state["run_id"], state["training_config"]["start_step"]
    del state["provenance"], state["earlier_runs"]
    return {"state": state, **{n: hashlib.sha256(data).hexdigest() for n, data in files.items()}}


def log(path):
    """Give the events of the last run in a log without their times and its identity.

    One that was killed before its first save is another run.
    """
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {name: value for name, value in event.items() if name not in (*_TIMES, "run_id")}
        for event in events
        if event["event"] not in _OF_A_PROCESS and event["run_id"] == events[-1]["run_id"]
    ]


def digests(place, name="dante"):
    """Give the digests of weights and optimizer state in the run's own bundle."""
    records = json.loads((place / "checkpoints" / name / MANIFEST).read_text())["files"]
    return {file: records[file]["sha256"] for file in ("model.pt", "optimizer.pt")}


def differences(found, expected, where=""):
    """Name each place where two documents differ, with what is there."""
    if isinstance(found, dict) and isinstance(expected, dict):
        names = {**expected, **found}
        pairs = [
            (name, found.get(name, "nothing"), expected.get(name, "nothing")) for name in names
        ]
    elif _is_sequence(found) and _is_sequence(expected) and len(found) == len(expected):
        pairs = [(index, *pair) for index, pair in enumerate(zip(found, expected, strict=True))]
    else:
        return [] if found == expected else [f"{where}: {found!r}, not {expected!r}"]
    return [line for name, *pair in pairs for line in differences(*pair, f"{where}/{name}")]


def _is_sequence(value):
    return isinstance(value, list | tuple)
