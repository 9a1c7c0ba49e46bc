import pytest
import torch
from attrs import evolve

from mypt.format.bundle.read import read_bundle
from mypt.format.bundle.write import save_bundle
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import (
    DataFingerprint,
    GoldMemory,
    TrainingConfig,
    TrainingState,
)
from mypt.format.storage.commit import open_for_writing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_what_is_read(tmp_path, tiny, weights_of, adamw_of):
    config = tiny(tie_weights=True, plugins={"x": {"a": 1}}, extra={"newer": [1]})
    tokenizer = TokenizerState(token_kind="char", chars=("a", "è", "\n"))
    state = TrainingState(
        step=7,
        tokens_processed=10,
        elapsed_s=1.5,
        training_config=TrainingConfig(seed=3, gold_guards={"trend": False}),
        data=DataFingerprint(source="x", sha256="0" * 64, train_tokens=1, val_tokens=2),
        gold=GoldMemory(best_val_loss=1.25, best_step=5, guards={"mine": {"losses": [1.0]}}),
        scaler={"scale": 2.0},
        inexact_reasons=("another device",),
        extra={"newer": None},
    )
    weights = weights_of(config)
    optimizer = adamw_of(weights)
    with open_for_writing(tmp_path / "m") as writer:
        manifest = save_bundle(
            writer,
            config=config,
            tokenizer=tokenizer,
            training_state=state,
            weights=weights,
            optimizer=optimizer,
            written_by="the tests",
        )
    bundle = read_bundle(tmp_path / "m")
    assert bundle.format_version == "2.0"
    assert bundle.config == config
    assert bundle.tokenizer == tokenizer
    assert bundle.training_state == evolve(state, optimizer_file="optimizer.pt")
    assert bundle.manifest == manifest
    assert bundle.manifest.generation == 1
    loaded = bundle.weights()
    assert list(loaded) == list(weights)
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)
    embedding, head = loaded["token_embedding_table.weight"], loaded["lm_head.weight"]
    assert embedding.data_ptr() == head.data_ptr()
    moments, before = bundle.optimizer()["state"], optimizer["state"]
    assert all(torch.equal(moments[i]["exp_avg"], before[i]["exp_avg"]) for i in moments)
    assert [problem.kind for problem in bundle.notes] == ["field.unknown", "field.unknown"]


def test_a_model_for_inference_has_three_files_and_a_manifest(tmp_path, tiny, save):
    save(tmp_path / "m", tiny(), with_training=False)
    assert names(tmp_path / "m") == ["config.json", "manifest.json", "model.pt", "tokenizer.json"]
    bundle = read_bundle(tmp_path / "m")
    assert bundle.training_state is None
    assert bundle.optimizer() is None
    assert bundle.weights()


def test_equal_models_have_equal_files(tmp_path, tiny, save):
    first, second = save(tmp_path / "a", tiny()), save(tmp_path / "b", tiny())
    assert first == second
    other = save(tmp_path / "c", tiny(), seed=1)
    differs = {name for name in first.files if first.files[name] != other.files[name]}
    assert differs == {"model.pt", "optimizer.pt"}


def test_a_save_without_optimizer_removes_the_old_one_and_says_so(tmp_path, tiny, save):
    save(tmp_path / "m", tiny())
    save(tmp_path / "m", tiny(), with_training=False)
    assert not (tmp_path / "m" / "optimizer.pt").exists()
    assert read_bundle(tmp_path / "m").optimizer() is None


def test_documents_are_readable_and_editable(bundle):
    text = (bundle / "config.json").read_text("utf-8")
    assert text.startswith('{\n  "format_version": "2.0",\n  "batch_size": 32,\n')
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    "state",
    [
        TrainingState(step=1, gold=GoldMemory(best_val_loss=float("nan"), best_step=1)),
        TrainingState(step=1, elapsed_s=float("inf")),
        TrainingState(step=-1),
        TrainingState(step=1, extra={"text": "\ud800"}),
    ],
    ids=["nan", "inf", "step", "text"],
)
def test_documents_that_break_their_schema_are_never_written(bundle, tiny, weights_of, state):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with open_for_writing(bundle) as writer, pytest.raises(ValueError):
        save_bundle(
            writer,
            config=tiny(),
            tokenizer=None,
            training_state=state,
            weights=weights_of(tiny()),
            written_by="",
        )
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_weights_that_cannot_be_written_leave_the_generation_before(bundle, tiny):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with open_for_writing(bundle) as writer, pytest.raises(TypeError, match="cannot hold"):
        save_bundle(
            writer,
            config=tiny(),
            tokenizer=None,
            weights={"w": torch.zeros(2, dtype=torch.complex64)},
            written_by="",
        )
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
