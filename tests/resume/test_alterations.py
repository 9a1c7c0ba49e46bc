"""Whatever somebody changes about a saved state, a resume refuses it or says that it is not exact.

`make resume` alters every single value, `make test` a sample of them.
"""

import hashlib
import json
import os
import shutil

import attrs
import pytest
import torch
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.manifest import FileRecord
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.storage.files import MANIFEST
from mypt.format.storage.generations import read_manifest, seal
from mypt.format.storage.recorded_paths import record_text
from tests.support.resume.runs import Interruption, Moment, run
from tests.support.resume.setups import SETUPS, arguments, prepare

EVERY = os.environ.get("MYPT_RESUME") == "all"
STEPS = {"max_iters": 12, "eval_interval": 4, "snapshot_interval": 0}
DOCUMENTS = ("training_state.json", "config.json", "tokenizer.json", MANIFEST)
RESUME = ["--model_name", "dante"]


@pytest.fixture(scope="session")
def stopped(tmp_path_factory):
    """Give a run that was stopped at step 10 of 12, and what training state and weights it had."""
    place = prepare(tmp_path_factory.mktemp("stopped") / "place")
    ending = run(place, arguments("curriculum", **STEPS), at_step(9))
    assert ending.code == 1
    return place


def at_step(step):
    import signal

    return Interruption(Moment(step, "update", 0), (signal.SIGTERM,))


@pytest.fixture
def resumed(stopped, tmp_path):
    """Alter the bundle of the stopped run, and resume it; give what came of that."""

    def resume(alter, *flags, broken=lambda: None):
        place = tmp_path / "altered"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(stopped, place)
        folder = place / "checkpoints" / "dante"
        alter(folder)
        before = reasons_in(folder)
        ending = run(place, [*RESUME, *flags], broken=broken)
        if ending.code != 0:
            assert ending.said.count("error: ") == ending.said.count("\n"), ending.said
            return "refused", ending.said
        state = json.loads((folder / "training_state.json").read_text())
        assert state["exact"] == (not state["inexact_reasons"])
        logged_to = state["training_config"]["log_file"] or "logs/train/dante_eval.jsonl"
        log = (place / logged_to).read_text()
        for reason in state["inexact_reasons"][len(before) :]:
            notice = f"Not the run of before: {reason}"
            assert notice in ending.said
            assert f'"message": {json.dumps(record_text(notice))}' in log
        return "exact" if state["exact"] else "reported", "\n".join(state["inexact_reasons"])

    return resume


def reasons_in(folder):
    """Give the reasons that a state has already; they are told once."""
    path = folder / "training_state.json"
    return json.loads(path.read_text()).get("inexact_reasons", []) if path.exists() else []


def places_of(document, above=()):
    """Name every value of a document by the keys that lead to it."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places_of(value, (*above, key))


def altered(value):
    """Give another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case list():
            return [*value[1:], *value[:1]] if len(set(map(str, value))) > 1 else [*value, "x"]
        case dict():
            return {**value, "x": 1}
        case None:
            return "x"


def edit(folder, name, place, *, remove):
    """Change one value as a person with an editor does."""
    path = folder / name
    document = json.loads(path.read_text())
    *above, last = place
    holder = document
    for key in above:
        holder = holder[key]
    if remove:
        del holder[last]
    else:
        holder[last] = altered(holder[last])
    path.write_text(json.dumps(document, indent=2))


def has_default(name, document, place):
    """Return whether a field has the value that it means without being there."""
    cls = {"config.json": GPTConfig, "tokenizer.json": TokenizerState}.get(name)
    if cls is None:
        value = document
        for key in place:
            value = value[key]
        return value is None
    default = attrs.fields_dict(cls)[place[0]].default
    default = default.factory() if isinstance(default, attrs.Factory) else default
    default = attrs.asdict(default) if attrs.has(type(default)) else default
    value, default = document[place[0]], json.loads(json.dumps(default))  # a tuple is a list there
    if isinstance(default, dict):
        default.pop("extra", None)  # what a later version has added is written as further fields
    for key in place[1:]:
        if not isinstance(default, dict) or key not in default:
            return False
        value, default = value[key], default[key]
    return value == default


def certify(folder, name):
    """Make the manifest tell of a file as it is now, as a program that writes bundles would."""
    data, manifest = (folder / name).read_bytes(), read_manifest(folder)
    record = FileRecord(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    _, sealed = seal(evolve(manifest, files={**manifest.files, name: record}))
    (folder / MANIFEST).write_bytes(sealed)


def test_nothing_altered_is_exact(resumed):
    assert resumed(lambda folder: None) == ("exact", "")


@pytest.mark.parametrize("remove", [False, True], ids=["altered", "removed"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_value_that_somebody_edited_is_refused_or_reported(name, remove, stopped, resumed):
    document = json.loads((stopped / "checkpoints" / "dante" / name).read_text())
    # A copy of a process cannot compile.
    places = [place for place in places_of(document) if place[-1] != "compile"]
    tried = places if EVERY else places[:: len(places) // 3]
    found = {}
    for place in tried:
        found[place], _ = resumed(lambda f, p=place: edit(f, name, p, remove=remove))
    silent = [place for place, told in found.items() if told == "exact"]
    if remove:
        silent = [place for place in silent if not has_default(name, document, place)]
    assert silent == []
    print(f"{name}: {len(tried)} of {len(places)} values")


@pytest.mark.parametrize("name", [*DOCUMENTS, "model.pt", "optimizer.pt"])
def test_a_file_that_is_missing_is_refused_or_reported(name, resumed):
    told, said = resumed(lambda folder: (folder / name).unlink())
    refused = name in ("config.json", "model.pt", "tokenizer.json", "training_state.json")
    assert told == ("refused" if refused else "reported")
    assert ("optimizer state" if name == "optimizer.pt" else name) in said


def alter_tensor(name):
    """Give what changes one value of one tensor of a file, with its checksums as they must be."""

    def alter(folder):
        contents = torch.load(folder / name)
        tensor = next(iter(contents.values()))
        if name == "optimizer.pt":
            tensor = next(iter(contents["state"].values()))["exp_avg"]
        tensor.view(-1)[0] += 1
        torch.save(contents, folder / name)

    return alter


def flip(name):
    def alter(folder):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(bytes(data))

    return alter


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pt"])
@pytest.mark.parametrize("kind", [alter_tensor, flip])
def test_a_tensor_that_is_altered_is_refused_or_reported(name, kind, resumed):
    told, said = resumed(kind(name))
    assert told == "refused"
    assert name in said

    def without_manifest(folder):
        kind(name)(folder)
        (folder / MANIFEST).unlink()

    told, said = resumed(without_manifest)
    assert told == ("reported" if kind is alter_tensor else "refused")


def test_the_digest_is_compared_whatever_the_size(resumed):
    def broken():
        from mypt.format.bundle import read as bundle
        from mypt.format.tensors import pt_file

        bundle.MAX_CHECKED_BYTES = pt_file.MAX_CHECKED_BYTES = 100

    for name in ("model.pt", "optimizer.pt"):
        assert resumed(flip(name), broken=broken)[0] == "refused"


def test_the_optimizer_of_another_model_is_refused(resumed, tmp_path):
    other = prepare(tmp_path / "other")
    given = arguments("curriculum", **{**STEPS, "max_iters": 1, "n_embd": 32})
    assert run(other, given).code == 0

    def alter(folder):
        shutil.copy(other / "checkpoints" / "dante" / "optimizer.pt", folder)
        (folder / MANIFEST).unlink()

    told, said = resumed(alter)
    assert told == "refused"
    assert "optimizer.pt" in said


@pytest.mark.parametrize(
    "field", ["torch", "device", "device_name", "threads", "world_size", "mypt"]
)
def test_another_environment_is_reported(field, resumed):
    def alter(folder):
        edit(folder, "training_state.json", ("environment", field), remove=False)
        certify(folder, "training_state.json")

    told, said = resumed(alter)
    assert told == "reported"
    assert said.startswith(f"step 10: {field} changed from ")


@pytest.mark.parametrize("place", [("environment",), ("data",), ("data", "sha256")])
@pytest.mark.parametrize("remove", [False, True], ids=["altered", "removed"])
def test_what_a_whole_bundle_does_not_say_is_reported(place, remove, resumed):
    if not remove and place != ("data", "sha256"):
        pytest.skip("there is nothing else that it could be")

    def alter(folder):
        path = folder / "training_state.json"
        document = json.loads(path.read_text())
        if place == ("data", "sha256"):
            document["data"]["sha256"] = "0" * 64
        else:
            document[place[0]] = None
        path.write_text(json.dumps(document))
        certify(folder, path.name)

    assert resumed(alter)[0] == "reported"


def test_other_threads_are_reported(resumed):
    told, said = resumed(lambda folder: None, broken=lambda: torch.set_num_threads(2))
    assert (told, said) == ("reported", "step 10: threads changed from 1 to 2")


# What each flag is changed to; those that are not here change no weight, see below.
CHANGED = {
    "max_iters": "13",
    "learning_rate": "0.02",
    "warmup_iters": "2",
    "grad_clip": "0.5",
    "weight_decay": "0.2",
    "weight_decay_on": "matrices",
    "beta1": "0.8",
    "beta2": "0.9",
    "grad_accum_steps": "2",
    "compile": None,
    "shard": None,
    "use_amp": None,
    "amp_dtype": "fp16",
    "seed": "5",
    "sampling": "epoch",
    "curriculum": json.dumps(SETUPS["curriculum"]["curriculum"][1:]),
    "freeze_layers": "1",
    "freeze_embeddings": None,
    "lr_schedule": "linear",
    "min_lr": "0.001",
    "weight_decay_schedule": "linear",
    "batch_schedule": '[{"from_iter": 5, "grad_accum_steps": 2}]',
    "loss_options": '{"z_loss": 0.1}',
}
HARMLESS = {
    "activation_checkpointing": ["--activation_checkpointing"],
    "eval_interval": ["--eval_interval", "5"],
    "eval_iters": ["--eval_iters", "3"],
    "eval_sets": ["--eval_sets", '{"cats": "cats.txt"}', "--gold_metric", "{}"],
    "eval_dataset_dir": [],
    "optimizer": [],  # others: tests/scenarios/test_optimizers.py and test_plugin_optimizers.py
    "optimizer_options": [],
    "lr_schedule_options": [],  # of the cosine there are none
    "loss": [],  # those of plugins: tests/model/test_training_loss.py
    "max_minutes": ["--max_minutes", "60"],
    "max_tokens": ["--max_tokens", "1000000"],
    "target_loss": ["--target_loss", "0.01"],
    "stop_after_evals_without_gain": ["--stop_after_evals_without_gain", "50"],
    "save_interval": ["--save_interval", "1"],
    "save_minutes": ["--save_minutes", "1"],
    "log_interval": ["--log_interval", "1"],
    "gold_guards": ["--gold_guards", '{"trend": false}'],
    "gold_metric": ["--gold_metric", '{"long": 1}'],
    "log_sinks": ["--log_sinks", '{"console": false}'],
    "keep_snapshots": ["--keep_snapshots", "1"],
    "snapshot_interval": ["--snapshot_interval", "1"],
    "terminate_on_nan": ["--no_terminate_on_nan"],
}
# They say where the data are, or who is ignored; the digest of the data decides.
NAMES = {"config_file", "dataset_dir", "eval_dataset_dir", "init_from_model", "input_file"}
# They say which tensors there are: ignored, see tests/scenarios/test_lora.py.
NAMES |= {"lora_rank", "lora_alpha", "lora_targets", "lora_dropout"}
NAMES |= {"log_file", "val_file", "mixture", "data_source", "data_options"}
# A mean is more to keep, a mask needs another tokenizer, packing conversations, dpo_beta pairs,
# and special tokens a new model. They have tests of their own.
ELSEWHERE = {"ema", "document_mask", "packing", "dpo_beta", "special_tokens", "chat_template"}
# Parts are for several processes: tests/scenarios/test_sharded_saves.py.
ELSEWHERE |= {"sharded_saves"}


def test_every_hyperparameter_is_known_here():
    from mypt.cli.options.fields import flag_names
    from mypt.format.documents.training import TrainingConfig

    assert {*CHANGED, *HARMLESS, *NAMES, *ELSEWHERE} == set(flag_names(TrainingConfig))


@pytest.mark.parametrize("name", CHANGED)
def test_another_hyperparameter_is_reported(name, resumed):
    if name == "compile":
        pytest.skip("a copy of a process cannot compile")
    value = CHANGED[name]
    off = name == "use_amp"
    flags = [f"--no_{name}" if off else f"--{name}"] if value is None else [f"--{name}", value]
    told, said = resumed(lambda folder: None, *flags)
    assert (told, said.split(" changed")[0]) == ("reported", f"step 10: {name}")


@pytest.mark.parametrize("name", ["batch_size", "dropout"])
def test_a_flag_of_the_config_is_reported(name, resumed):
    value = {"batch_size": "3", "dropout": "0.5"}[name]
    told, said = resumed(lambda folder: None, f"--{name}", value)
    assert (told, said.split(" changed")[0]) == ("reported", f"step 10: {name}")


def test_what_changes_no_weight_is_no_reason(resumed, tmp_path):
    """Not only does the state say so: the bytes are the same."""
    digests = set()
    for flags in HARMLESS.values():
        assert resumed(lambda folder: None, *flags) == ("exact", "")
        folder = tmp_path / "altered" / "checkpoints" / "dante"
        files = (folder / "model.pt").read_bytes(), (folder / "optimizer.pt").read_bytes()
        digests.add(tuple(hashlib.sha256(data).hexdigest() for data in files))
    assert len(digests) == 1
