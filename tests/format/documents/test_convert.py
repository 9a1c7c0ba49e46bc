"""How JSON becomes the fields of a class by their annotations, and back."""

import pytest
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document, to_document, to_recorded_document
from mypt.format.documents.manifest import Manifest
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingConfig, TrainingState

DIGEST = "0" * 64


def test_a_number_becomes_what_its_field_holds():
    config = from_document(GPTConfig, {"n_layer": 6.0, "rope_theta": 500000, "attn_scale": 1})
    assert (config.n_layer, type(config.n_layer)) == (6, int)
    assert type(config.rope_theta) is type(config.attn_scale) is float


def test_null_stays_null():
    state = from_document(TrainingState, {"step": 1, "gold": None, "optimizer_file": None})
    assert state.gold is state.optimizer_file is None


def test_lists_become_tuples_and_objects_their_classes():
    tokenizer = from_document(TokenizerState, {"token_kind": "char", "chars": ["a", "b"]})
    assert tokenizer.chars == ("a", "b")
    files = {"model.pt": {"size_bytes": 3.0, "sha256": DIGEST, "newer": [1]}}
    manifest = from_document(Manifest, {"format_version": "2.0", "generation": 1, "files": files})
    assert manifest.files["model.pt"].size_bytes == 3
    assert manifest.files["model.pt"].extra == {"newer": [1]}
    state = from_document(TrainingState, {"step": 1, "training_config": {"max_iters": 5}})
    assert state.training_config == TrainingConfig(max_iters=5)


@pytest.mark.parametrize("files", ["a.txt", ["a.txt", "b.txt"], None])
def test_a_field_of_several_types_keeps_the_one_it_was_given(files):
    config = from_document(TrainingConfig, {"input_file": files})
    assert config.input_file == (tuple(files) if isinstance(files, list) else files)
    assert to_document(config)["input_file"] == files


def test_what_a_document_leaves_out_is_known_and_left_out_again():
    state = from_document(TrainingState, {"step": 3, "training_config": {"seed": 1}})
    assert state == TrainingState(step=3, training_config=TrainingConfig(seed=1))
    assert {"exact", "gold"} <= state.absent
    assert "max_iters" in state.training_config.absent
    assert to_recorded_document(state, versioned=False) == {
        "step": 3,
        "training_config": {"seed": 1},
    }
    changed = evolve(state, exact=False, training_config=evolve(state.training_config, beta1=0.8))
    assert to_recorded_document(changed, versioned=False) == {
        "step": 3,
        "exact": False,
        "training_config": {"seed": 1, "beta1": 0.8},
    }
    bare = from_document(TrainingState, {"step": 3})
    assert to_recorded_document(bare, versioned=False) == {"step": 3}
    made = TrainingState(step=3)
    assert to_recorded_document(made) == to_document(made)


def test_what_a_config_leaves_out_has_a_meaning_but_for_settings_of_training():
    sizes = {"block_size": 4, "vocab_size": 5, "n_embd": 4, "n_head": 2, "n_layer": 1}
    config = from_document(GPTConfig, {**sizes, "device": None})
    assert config.absent == {"batch_size", "dropout"}
    written = to_recorded_document(config)
    assert (written["mlp_type"], written["device"]) == ("gelu", None)
    assert not {"batch_size", "dropout"} & written.keys()


def test_the_version_belongs_to_the_file_alone():
    document = {"format_version": "2.0", "step": 1, "training_config": {"format_version": "x"}}
    state = from_document(TrainingState, document)
    assert state.extra == {}
    written = to_document(state)
    assert next(iter(written)) == "format_version"
    assert written["format_version"] == "2.0"
    assert written["training_config"]["format_version"] == "x"
    assert "format_version" not in to_document(GPTConfig(), versioned=False)


@pytest.mark.parametrize("version", ["2.1", "2.10", "2." + "9" * 5000])
def test_a_document_of_a_newer_minor_keeps_its_version_which_says_who_knows_its_features(version):
    document = {"format_version": version, "step": 1, "requires": ["a/feature_of-2.1"]}
    state = evolve(from_document(TrainingState, document), step=2)
    assert state.requires == ("a/feature_of-2.1",)
    written = to_document(state)
    assert next(iter(written)) == "format_version"
    assert {name: written[name] for name in document} == document | {"step": 2}
    assert from_document(TrainingState, written) == state


def test_what_is_written_can_be_changed_without_changing_what_it_was_written_from():
    config = from_document(TrainingConfig, {"gold_guards": {"a": {"b": [1]}}, "newer": [1]})
    written = to_document(config)
    written["gold_guards"]["a"]["b"].append(2)
    written["newer"].append(2)
    assert config.gold_guards == {"a": {"b": [1]}}
    assert config.extra == {"newer": [1]}
