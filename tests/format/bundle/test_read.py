import json
import shutil
import threading

import pytest
import torch

from mypt.format.bundle.read import read_bundle
from mypt.format.bundle.write import bundle_files, save_bundle
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import (
    TrainingState,
)
from mypt.format.errors import FormatError
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.storage import files
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.files import MappedFiles
from mypt.format.storage.generations import tagged_name
from mypt.format.tensors.pt_file import read_header


def test_unknown_fields_are_read_kept_and_written_back(bundle, edit, tiny, weights_of):
    edit(bundle / "config.json", newer={"b": 1, "a": [None]}, plugins={"p": {"x": 1.5}})
    read = read_bundle(bundle)
    with open_for_writing(bundle) as writer:
        save_bundle(
            writer,
            config=read.config,
            tokenizer=read.tokenizer,
            weights=weights_of(tiny()),
            written_by="",
        )
    document = json.loads((bundle / "config.json").read_text("utf-8"))
    assert document["newer"] == {"b": 1, "a": [None]}
    assert document["plugins"] == {"p": {"x": 1.5}}


def test_a_bundle_with_errors_is_refused_with_all_of_them(bundle, edit):
    edit(bundle / "config.json", n_layer=8)
    edit(bundle / "training_state.json", step="3")
    with pytest.raises(FormatError) as caught:
        read_bundle(bundle)
    places = {(p.file.rpartition("/")[2], p.where) for p in caught.value.problems}
    assert places == {("config.json", "/n_layer"), ("training_state.json", "/step")}


def test_a_flipped_bit_in_the_weights_is_found_when_they_are_loaded(bundle):
    for name in ("model.pt", "optimizer.pt"):
        data = bytearray((bundle / name).read_bytes())
        data[read_header(bundle / name, name).members["data/1"].offset] ^= 1
        (bundle / name).write_bytes(data)
    read = read_bundle(bundle)
    with pytest.raises(FormatError, match=r"model.*: is not what was saved"):
        read.weights()
    with pytest.raises(FormatError, match=r"optimizer.*: is not what was saved"):
        read.optimizer()


def test_a_folder_without_manifest_is_read_by_its_stable_names(bundle):
    (bundle / "manifest.json").unlink()
    read = read_bundle(bundle)
    assert read.manifest is None
    assert read.weights()
    assert read.optimizer()["param_groups"]


def test_an_optimizer_of_another_name_is_found_beside_the_rest(bundle, edit):
    (bundle / "manifest.json").unlink()
    (bundle / "optimizer.pt").rename(bundle / "adam.pt")
    edit(bundle / "training_state.json", optimizer_file="adam.pt")
    assert read_bundle(bundle).optimizer()["state"]


def test_loading_goes_on_where_a_rename_happens_in_between(bundle):
    (bundle / "model.pt").rename(bundle / tagged_name("model.pt", 1))
    read = read_bundle(bundle)
    (bundle / tagged_name("model.pt", 1)).rename(bundle / "model.pt")
    assert read.weights()


def test_loading_goes_on_where_a_rename_happens_while_the_file_is_opened(bundle, monkeypatch):
    waiting = bundle / tagged_name("model.pt", 1)
    (bundle / "model.pt").rename(waiting)
    mapped, renamed = MappedFiles.map, []

    def after_a_rename(*args):
        renamed.append(waiting.rename(bundle / "model.pt"))
        return mapped(*args)

    monkeypatch.setattr(MappedFiles, "map", after_a_rename)
    assert read_bundle(bundle).weights()
    assert renamed


def renamed_while(bundle, monkeypatch, place, function):
    """Let `model.pt` wait under its tagged name, and get its own when that function is called."""
    waiting = bundle / tagged_name("model.pt", 1)
    (bundle / "model.pt").rename(waiting)
    real = getattr(place, function)

    def after_a_rename(*args, **options):
        if waiting.exists():
            waiting.rename(bundle / "model.pt")
        return real(*args, **options)

    monkeypatch.setattr(place, function, after_a_rename)


def test_checking_goes_on_where_a_rename_happens_in_between(bundle, monkeypatch):
    renamed_while(bundle, monkeypatch, files, "digest_file")
    read_bundle(bundle).check_tensors()
    assert (bundle / "model.pt").exists()


def test_what_was_saved_anew_is_not_called_damaged(bundle, tiny, save):
    read = read_bundle(bundle)
    save(bundle, tiny(), seed=1)
    for look in (read.check_tensors, read.weights_digest, read.shapes):
        with pytest.raises(FormatError, match="was saved anew since it was opened; open it again"):
            look()


def test_a_bundle_that_was_removed_and_made_anew_is_another_one(bundle, tiny, save):
    read = read_bundle(bundle)
    shutil.rmtree(bundle)
    assert save(bundle, tiny(), seed=1).generation == read.manifest.generation
    with pytest.raises(FormatError, match="was saved anew since it was opened"):
        read.weights()


def test_shapes_and_digest_come_without_loading(bundle):
    read = read_bundle(bundle)
    assert read.shapes() == {n: tuple(t.shape) for n, t in read.weights().items()}
    assert read.weights_digest() == read.manifest.files["model.pt"].sha256
    assert read.sizes == {n: (bundle / n).stat().st_size for n in read.manifest.files}


def test_a_damaged_optimizer_refuses_who_asks_for_it_alone(bundle):
    (bundle / "optimizer.pt").write_bytes(b"")
    read = read_bundle(bundle)
    assert read.weights()
    assert {(note.severity, note.file) for note in read.notes} == {
        ("warning", str(bundle / "optimizer.pt"))
    }
    with pytest.raises(FormatError, match="or remove it: training then goes on with a fresh"):
        read.optimizer()


def test_weights_of_a_newer_generation_are_not_mixed_into_an_open_bundle(bundle, tiny, save):
    read = read_bundle(bundle)
    save(bundle, tiny(), seed=1)
    with pytest.raises(FormatError, match="was saved anew since it was opened; open it again"):
        read.weights()
    with pytest.raises(FormatError, match="saved anew"):
        read.optimizer()


def test_a_reader_beside_a_writer_always_sees_one_whole_generation(tmp_path, tiny):
    config, folder = tiny(n_layer=1), tmp_path / "m"
    stop = threading.Event()
    failures = []

    def generation(step):
        shapes = expected_tensors(config, BUILT_IN)
        weights = {name: torch.full(shape, float(step)) for name, shape in shapes.items()}
        tokenizer = TokenizerState(token_kind="char", chars=tuple("abc"), extra={"step": step})
        return bundle_files(config, tokenizer, TrainingState(step=step), weights, None)

    def write():
        try:
            with open_for_writing(folder) as writer:
                for step in range(1, 41):
                    writer.commit(generation(step), written_by="")
        except Exception as error:
            failures.append(error)
        finally:
            stop.set()

    with open_for_writing(folder) as writer:
        writer.commit(generation(0), written_by="")
    thread = threading.Thread(target=write)
    thread.start()
    said = set()
    while not stop.is_set():
        try:
            read = read_bundle(folder)
            step = read.training_state.step
            assert step == read.tokenizer.extra["step"] == read.manifest.generation - 1
            assert all((tensor == step).all() for tensor in read.weights().values())
        except FormatError as error:
            said.add(str(error))
    thread.join()
    assert failures == []
    assert said <= {
        f"{folder}: was saved anew since it was opened; open it again",
        f"{folder}: changes faster than it can be read; wait for the run that is writing it",
    }
    assert read_bundle(folder).training_state.step == 40


def test_version_1_with_fused_attention_opens_as_it_is(fixtures):
    bundle = read_bundle(fixtures / "mypt" / "modern_char")
    assert bundle.format_version == "1"
    assert bundle.config.mlp_type == "swiglu"
    assert bundle.manifest is None
    weights = bundle.weights()
    assert weights["blocks.0.sa.qkv.weight"].dtype == torch.bfloat16
    assert bundle.optimizer()["state"]


def test_version_1_with_a_matrix_per_head_is_refused_with_what_to_do(fixtures):
    with pytest.raises(FormatError, match=r"one matrix per attention head.*mypt format migrate"):
        read_bundle(fixtures / "mypt" / "bundle_v1_char")


def test_a_missing_folder_is_a_clear_error(tmp_path):
    with pytest.raises(FormatError, match="holds no checkpoint"):
        read_bundle(tmp_path)
    with pytest.raises(FormatError, match="holds no checkpoint"):
        read_bundle(tmp_path / "nowhere")
