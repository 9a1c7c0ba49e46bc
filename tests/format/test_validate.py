import json
import os
import subprocess
import sys

import pytest
import torch

from mypt.format.bundle.read import read_bundle
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.errors import FormatError, has_errors
from mypt.format.layout import BUILT_IN, PartLayout, no_tensors
from mypt.format.optimizers.indices import number_parameters
from mypt.format.readers.hugging_face import reader as hugging_face
from mypt.format.rules.requirements import Requirements
from mypt.format.storage.generations import tagged_name
from mypt.format.tensors.pt_writer import write_tensors
from mypt.format.validate import validate


def found(path, **options):
    """Give kind, severity and place of each problem, the folder left out."""
    return [
        (p.kind, p.severity, f"{p.file.removeprefix(f'{path}/')}#{p.where}")
        for p in validate(path, **options)
    ]


def test_a_bundle_as_mypt_saved_it_has_no_problem(bundle):
    assert validate(bundle) == []
    assert validate(bundle, checksums=True) == []


def test_only_three_files_are_a_valid_bundle(bundle):
    for name in ("manifest.json", "training_state.json", "optimizer.pt"):
        (bundle / name).unlink()
    assert validate(bundle, checksums=True) == []


def test_hand_edited_batch_size_device_and_dropout_are_fine_and_noted(bundle, edit):
    edit(bundle / "config.json", batch_size=2, device="cuda", dropout=0)
    places = [f"config.json#/{name}" for name in ("batch_size", "dropout", "device")]
    assert found(bundle) == [("manifest.edited", "note", place) for place in places]
    assert found(bundle, checksums=True) == [
        ("manifest.edited", "error", place) for place in places
    ]


def test_an_edit_that_the_weights_cannot_tell_is_a_warning_with_both_values(bundle, edit):
    edit(bundle / "config.json", n_head=4)
    (problem,) = validate(bundle)
    assert problem.severity == "warning"
    assert str(problem) == (
        f"{bundle}/config.json#/n_head: was edited after the save: 4, was 2; "
        "restore it if that was not meant: the model may now compute something else"
    )


def test_a_changed_n_layer_names_the_field_what_the_weights_say_and_the_way_out(bundle, edit):
    edit(bundle / "config.json", n_layer=8)
    problem, edited = validate(bundle)
    assert str(problem) == (
        f"{bundle}/config.json#/n_layer: is 8, but model.pt holds 3 blocks; set it back to 3"
    )
    assert edited.what == "was edited after the save: 8, was 3"


def test_one_block_is_not_several(tmp_path, tiny, save, edit):
    save(tmp_path / "m", tiny(n_layer=1))
    edit(tmp_path / "m" / "config.json", n_layer=8)
    assert "model.pt holds 1 block; set it back to 1" in str(validate(tmp_path / "m")[0])


def test_a_changed_width_is_one_problem_even_if_no_head_divides_it(bundle, edit):
    edit(bundle / "config.json", n_embd=9)
    errors = [line for line in found(bundle) if line[1] == "error"]
    assert errors == [("config.mismatch", "error", "config.json#/n_embd")]


def test_an_absurd_number_of_layers_is_refused_at_once(bundle, edit):
    for n_layer in (10**9, 100_000, 2**62):
        edit(bundle / "config.json", n_layer=n_layer)
        assert validate(bundle)[0].where == "/n_layer"


def test_all_problems_are_found_in_one_pass_worst_first(bundle, edit):
    edit(bundle / "config.json", n_layer=8, n_layers=6)
    edit(bundle / "tokenizer.json", chars=list("abcdefghijklmno"))
    edit(bundle / "training_state.json", step=-1)
    (bundle / "optimizer.pt").write_bytes(b"nothing")
    kinds = found(bundle)
    assert [severity for _, severity, _ in kinds] == sorted(
        (severity for _, severity, _ in kinds), key=["error", "warning", "note"].index
    )
    others = {(kind, place) for kind, _, place in kinds if kind != "manifest.edited"}
    assert others == {
        ("config.mismatch", "config.json#/n_layer"),
        ("field.unknown", "config.json#/n_layers"),
        ("tokenizer.size", "tokenizer.json#/chars"),
        ("schema.minimum", "training_state.json#/step"),
        ("archive", "optimizer.pt#"),
        ("manifest.size", "optimizer.pt#"),
    }


@pytest.mark.parametrize("name", ["config.json", "model.pt"])
def test_a_file_without_which_there_is_no_model_is_missed(bundle, name):
    (bundle / name).unlink()
    assert ("file.missing", "error", f"{name}#") in found(bundle)


@pytest.mark.parametrize("name", ["config.json", "model.pt", "tokenizer.json"])
def test_a_single_file_in_another_case_is_to_be_renamed(bundle, name):
    (bundle / name).rename(bundle / name.upper())
    (problem,) = [p for p in validate(bundle) if p.kind == "file.missing"]
    assert problem.fix == f"rename `{name.upper()}` to it"


def test_an_optimizer_that_was_deleted_is_a_warning(bundle):
    (bundle / "optimizer.pt").unlink()
    assert found(bundle) == [
        ("file.missing", "warning", "optimizer.pt#"),
        ("state.optimizer", "warning", "training_state.json#/optimizer_file"),
    ]


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "training_state.json", "manifest.json"]
)
def test_a_broken_document_is_named(bundle, name):
    (bundle / name).write_bytes(b'{"a": NaN}')
    assert ("json", "error", f"{name}#") in found(bundle)


def test_a_newer_major_is_refused_and_a_newer_minor_read(bundle, edit):
    edit(bundle / "config.json", format_version="3.0")
    assert found(bundle)[0] == ("version.newer", "error", "config.json#/format_version")
    edit(bundle / "config.json", format_version="2.9", added_later=True)
    assert found(bundle) == [
        ("field.unknown", "warning", "config.json#/added_later"),
        ("manifest.edited", "note", "config.json#/format_version"),
        ("manifest.edited", "note", "config.json#/added_later"),
    ]


def test_a_missing_tensor_is_named(bundle, weights_of, tiny):
    weights = weights_of(tiny())
    del weights["ln_f.bias"]
    torch.save(weights, bundle / "model.pt")
    (bundle / "manifest.json").unlink()
    assert ("tensor.missing", "error", "model.pt#ln_f.bias") in found(bundle)


def test_a_part_of_a_plugin_is_refused_without_it_and_read_with_it(bundle, edit):
    edit(bundle / "config.json", mlp_type="wavelet")
    assert found(bundle)[0] == ("config.part", "error", "config.json#/mlp_type")
    layouts = {**BUILT_IN, ("mlp_type", "wavelet"): BUILT_IN["mlp_type", "gelu"]}
    edited = ("manifest.edited", "warning", "config.json#/mlp_type")
    assert found(bundle, layouts=layouts) == [edited]
    layouts["mlp_type", "wavelet"] = PartLayout(no_tensors)
    assert found(bundle, layouts=layouts)[0][2] == "config.json#/mlp_type"


def test_the_packages_that_the_manifest_names_are_in_the_message(tmp_path, tiny, save, edit):
    needs = {"mypt-waves": {"version": "1.0", "needed_for": ["read"]}}
    save(tmp_path / "m", tiny(), requirements=Requirements(plugins=needs))
    edit(tmp_path / "m" / "config.json", mlp_type="wavelet")
    assert any("mypt-waves" in problem.fix for problem in validate(tmp_path / "m"))


def test_a_flipped_bit_in_the_weights_is_found_by_the_digest_alone(bundle):
    data = bytearray((bundle / "model.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "model.pt").write_bytes(data)
    assert validate(bundle) == []
    assert found(bundle, checksums=True) == [("manifest.digest", "error", "model.pt#")]


def test_without_manifest_the_archive_s_own_checksums_count(bundle):
    data = bytearray((bundle / "model.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "model.pt").write_bytes(data)
    (bundle / "manifest.json").unlink()
    ((kind, severity, place),) = found(bundle, checksums=True)
    assert (kind, severity) == ("archive.checksum", "error")
    assert place.startswith("model.pt#data/")


@pytest.mark.parametrize("changed", [{"n_layer": 1}, {"n_embd": 4}], ids=["layers", "width"])
def test_weights_of_another_model_are_the_one_problem(bundle, tiny, save, changed):
    saved = (bundle / "model.pt").stat().st_size
    save(bundle.parent / "other", tiny(**changed))
    (bundle.parent / "other" / "model.pt").replace(bundle / "model.pt")
    size = (bundle / "model.pt").stat().st_size
    (problem,) = validate(bundle)
    assert str(problem) == (
        f"{bundle}/model.pt: is {size} bytes, but was saved with {saved}; restore it from a copy"
    )
    assert validate(bundle, checksums=True) == [problem]
    with pytest.raises(FormatError) as refused:
        read_bundle(bundle)
    assert refused.value.problems == (problem,)


def test_weights_of_another_model_and_the_same_size_are_known_by_their_digest(
    bundle, weights_of, tiny
):
    weights = weights_of(tiny())
    swapped = weights | {"lm_head.weight": weights["lm_head.weight"].mT.contiguous()}
    with (bundle / "model.pt").open("wb") as stream:
        write_tensors(stream, swapped)
    assert found(bundle) == [("manifest.digest", "error", "model.pt#")]
    assert found(bundle, checksums=True) == [("manifest.digest", "error", "model.pt#")]


def test_an_optimizer_that_is_not_what_was_saved_is_one_problem(bundle, adamw_of, weights_of, tiny):
    torch.save(adamw_of(weights_of(tiny(n_embd=4))), bundle / "optimizer.pt")
    assert found(bundle) == [("manifest.size", "error", "optimizer.pt#")]


def test_what_the_manifest_says_of_a_file_comes_before_what_follows_from_it(bundle):
    data = (bundle / "model.pt").read_bytes()
    (bundle / "model.pt").write_bytes(data[:-100])
    assert [kind for kind, _, _ in found(bundle)] == ["manifest.size", "archive"]


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pt"])
def test_a_truncated_file_is_found_without_digests(bundle, name):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: len(data) - 100])
    assert {kind for kind, severity, _ in found(bundle) if severity == "error"} == {
        "archive",
        "manifest.size",
    }


def test_tied_matrices_that_differ_are_found_by_their_values(tmp_path, tiny, save, weights_of):
    config = tiny(tie_weights=True)
    save(tmp_path / "m", config, with_training=False)
    assert validate(tmp_path / "m", checksums=True) == []
    (tmp_path / "m" / "manifest.json").unlink()
    weights = weights_of(config)
    apart = weights | {"lm_head.weight": weights["lm_head.weight"].clone()}
    torch.save(apart, tmp_path / "m" / "model.pt")
    assert found(tmp_path / "m") == [("tensor.tied", "note", "model.pt#lm_head.weight")]
    assert validate(tmp_path / "m", checksums=True) == []
    apart["lm_head.weight"][0, 0] += 1
    torch.save(apart, tmp_path / "m" / "model.pt")
    assert found(tmp_path / "m", checksums=True) == [
        ("tensor.tied", "error", "model.pt#lm_head.weight")
    ]


def test_an_optimizer_of_another_model_is_found(bundle, adamw_of, weights_of, tiny):
    torch.save(adamw_of(weights_of(tiny(n_embd=4))), bundle / "optimizer.pt")
    (bundle / "manifest.json").unlink()
    assert {kind for kind, _, _ in found(bundle)} == {"optimizer.shape"}


@pytest.mark.parametrize("is_recorded", [True, False])
def test_training_goes_on_with_another_rule_of_weight_decay(bundle, edit, is_recorded):
    file = bundle / "training_state.json"
    training = json.loads(file.read_text())["training_config"]
    edit(file, training_config=training | {"weight_decay_on": "all"})
    if not is_recorded:
        (bundle / "manifest.json").unlink()
    assert ("optimizer.settings", "warning", "optimizer.pt#param_groups.1.weight_decay") in found(
        bundle
    )
    assert read_bundle(bundle, BUILT_IN).flaws == ()


def by_index(bundle, weights):
    """Write the optimizer's state as before the release of format 2.0."""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    named = torch.load(bundle / "optimizer.pt", weights_only=True)
    torch.save(number_parameters(named, shapes), bundle / "optimizer.pt")
    (bundle / "manifest.json").unlink()
    return named


def test_a_state_by_index_is_read_by_the_names_of_parameters(bundle):
    named = by_index(bundle, read_bundle(bundle, BUILT_IN).weights())
    assert not has_errors(validate(bundle))
    again = read_bundle(bundle, BUILT_IN).optimizer()
    assert again["optimizer"] == "adamw"
    assert again["state"].keys() == named["state"].keys()
    for name, entry in named["state"].items():
        assert all(torch.equal(value, again["state"][name][key]) for key, value in entry.items())
    assert [group["params"] for group in again["param_groups"]] == [
        group["params"] for group in named["param_groups"]
    ]


def test_a_state_by_index_needs_the_rule_that_it_was_grouped_by(bundle, edit):
    by_index(bundle, read_bundle(bundle, BUILT_IN).weights())
    edit(bundle / "training_state.json", training_config={"weight_decay_on": "all"})
    (problem,) = (p for p in validate(bundle) if p.severity == "error")
    assert (problem.file, problem.kind) == (f"{bundle}/optimizer.pt", "optimizer.groups")
    with pytest.raises(FormatError):
        read_bundle(bundle, BUILT_IN).optimizer()


def test_a_rename_that_waits_is_a_note(bundle):
    (bundle / "model.pt").rename(bundle / tagged_name("model.pt", 1))
    assert found(bundle, checksums=True) == [("commit.waiting", "note", "model.pt#")]


def test_leftovers_and_strange_files_are_ignored(bundle):
    (bundle / tagged_name("model.pt", 2)).write_bytes(b"never committed")
    (bundle / "latest.pt").write_bytes(b"not ours")
    (bundle / "notes.txt").write_bytes(b"not ours")
    assert validate(bundle) == []


def test_a_gpt2_vocabulary_must_fit(tmp_path, tiny, save):
    save(tmp_path / "m", tiny(vocab_size=50256), tokenizer=TokenizerState(token_kind="gpt2"))
    assert found(tmp_path / "m")[0] == ("tokenizer.size", "error", "tokenizer.json#/token_kind")


def test_single_files_are_checked_by_what_they_are(bundle, root, edit):
    for name in ("config.json", "tokenizer.json", "training_state.json", "manifest.json"):
        assert validate(bundle / name) == []
    assert validate(bundle / "model.pt") == []
    assert validate(root / "configs" / "tiny.json") == []
    edit(bundle / "config.json", n_head=3)
    assert [p.kind for p in validate(bundle / "config.json")] == ["config.heads"]
    preset = bundle.parent / "mine.json"
    preset.write_text('{"n_layers": 3}')
    assert [p.kind for p in validate(preset)] == ["schema.additionalProperties"]


@pytest.mark.parametrize("n_kv_head", [None, 1])
def test_heads_that_do_not_divide_the_width_are_no_fault_of_the_tensors(
    tmp_path, tiny, save, edit, n_kv_head
):
    save(tmp_path / "m", tiny(n_kv_head=n_kv_head))
    edit(tmp_path / "m" / "config.json", n_head=3)
    places = found(tmp_path / "m")
    assert [kind for kind, *_ in places] == ["config.heads", "manifest.edited"], places


def test_what_is_not_there_or_no_bundle_is_said(tmp_path):
    assert [p.what for p in validate(tmp_path / "nowhere")] == ["does not exist"]
    assert [p.what for p in validate(tmp_path)] == ["holds no checkpoint"]
    (tmp_path / "x.txt").write_text("text")
    assert [p.kind for p in validate(tmp_path / "x.txt")] == ["checkpoint.unknown"]


def test_pipes_and_devices_in_a_bundle_are_not_opened(bundle):
    (bundle / "model.pt").unlink()
    os.mkfifo(bundle / "model.pt")
    assert ("file", "error", "model.pt#") in found(bundle)
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")
    assert ("file", "error", "manifest.json#") in found(bundle)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_problem_like_others(bundle):
    (bundle / "model.pt").chmod(0)
    assert ("file", "error", "model.pt#") in found(bundle)


def test_every_folder_of_version_1_is_valid_as_it_is(fixtures):
    folders = [path.parent for path in (fixtures / "mypt").glob("*/config.json")]
    assert len(folders) >= 10
    for folder in folders:
        problems = validate(folder, checksums=True)
        assert [p for p in problems if p.severity == "error"] == [], folder
        assert "version.legacy" in {p.kind for p in problems}


def test_what_no_reader_can_open_is_not_called_usable(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bloom"}')
    found = validate(tmp_path, readers=(hugging_face.READER,))
    assert [p.kind for p in found] == ["foreign.unsupported"]


def test_validation_imports_neither_torch_nor_numpy(bundle):
    code = f"""
import sys
from pathlib import Path
from mypt.format.validate import validate
assert validate(Path({str(bundle)!r}), checksums=True) == []
assert not {{"torch", "numpy", "mypt.plugins", "mypt.model"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_person_s_own_notes_in_documents_are_kept_as_warnings(bundle, edit):
    document = json.loads((bundle / "training_state.json").read_text())
    training = document["training_config"] | {"weight_decay_": 0.1, "comment": "good run"}
    edit(bundle / "training_state.json", training_config=training)
    assert found(bundle) == [
        ("field.unknown", "warning", "training_state.json#/training_config/weight_decay_"),
        ("field.unknown", "warning", "training_state.json#/training_config/comment"),
        *(
            ("manifest.edited", "note", f"training_state.json#/training_config/{name}")
            for name in ("weight_decay_", "comment")
        ),
    ]


def test_a_bundle_of_built_in_parts_needs_neither_jsonschema_nor_plugins(bundle):
    code = (
        "import sys; from mypt.cli.main import run, format_group; "
        "code = run(format_group, 'mypt format', ['validate', sys.argv[1]]); "
        "print(code, {'torch', 'numpy', 'jsonschema', 'pluggy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{bundle}: valid", "0 set()"]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.replace(b'"generation": 1', b'"generation": 2'),
        lambda m: m.replace(b"the tests", b"the nests"),
        lambda m: m.replace(b"  ", b"\t"),
        lambda m: m + b"\n",
    ],
    ids=["generation", "writer", "indent", "end"],
)
def test_a_manifest_that_was_changed_says_so_and_can_be_removed(bundle, change):
    path = bundle / "manifest.json"
    path.write_bytes(change(path.read_bytes()))
    assert ("manifest.checksum", "error", "manifest.json#/checksum") in found(bundle)
    assert [p.kind for p in validate(path)] == ["manifest.checksum"]
    with pytest.raises(FormatError, match="changed after mypt saved it"):
        read_bundle(bundle)
    path.unlink()
    assert validate(bundle) == []
    assert read_bundle(bundle).manifest is None


def test_a_hand_made_manifest_needs_no_checksum(bundle, edit):
    edit(bundle / "manifest.json", checksum=None, written_by="by hand")
    assert validate(bundle) == []


@pytest.mark.parametrize(
    ("guard", "memory"),
    [
        ("trend", {"rises": "x"}),
        ("trend", {"last_val_loss": []}),
        ("eval_regression", {"baselines": 5}),
        ("eval_regression", {"baselines": {"a": "x"}}),
    ],
)
def test_what_a_guard_cannot_go_on_with_is_wrong_before_the_run(bundle, guard, memory):
    file = bundle / "training_state.json"
    state = json.loads(file.read_text())
    state["gold"] = {"best_val_loss": 1.0, "best_step": 1, "guards": {guard: memory}}
    file.write_text(json.dumps(state))
    errors = [p for p in validate(bundle) if p.severity == "error"]
    (name,) = memory
    assert [p.where.startswith(f"/gold/guards/{guard}/{name}") for p in errors] == [True]
