import hashlib
import json

import pytest

from mypt.format.bundle.edits import (
    changes_output,
    edit_problems,
    record_documents,
    summarize_edits,
)
from mypt.format.documents.manifest import FileRecord, Manifest
from mypt.format.schema import strict_json

CONFIG = {"n_head": 2, "batch_size": 4, "bias": False, "rope_theta": 1e4, "added_later": 1}
TOKENIZER = {"token_kind": "char", "chars": ["a", "b", "c"]}
STATE = {"step": 3, "training_config": {"seed": 1}, "gold": {"best_step": 2}, "note": "mine"}


def edited(name, before, now, *, is_recorded=True):
    """Return what is found where a document was saved as one and is another."""
    data = strict_json.dump(before)
    manifest = Manifest(
        generation=1,
        files={name: FileRecord(size_bytes=1, sha256=hashlib.sha256(data).hexdigest())},
        documents=record_documents({name: data}) if is_recorded else {},
    )
    data = now if isinstance(now, bytes) else strict_json.dump(now)
    return edit_problems(manifest, name, strict_json.parse(data, name), data, name)


def test_a_document_that_is_as_it_was_saved_has_no_problem():
    assert edited("config.json", CONFIG, CONFIG) == []


@pytest.mark.parametrize(
    ("name", "before", "change", "line"),
    [
        ("config.json", CONFIG, {"n_head": 4}, "#/n_head: was edited after the save: 4, was 2"),
        ("config.json", CONFIG, {"bias": 0}, "#/bias: was edited after the save: 0, was false"),
        ("config.json", CONFIG, {"norm_eps": 1}, "#/norm_eps: was added after the save: 1"),
        ("tokenizer.json", TOKENIZER, {"chars": ["b"]}, "#/chars: was edited after the save: a"),
        ("tokenizer.json", TOKENIZER, {"plugins": {"a": {}}}, "#/plugins: was added after"),
    ],
)
def test_an_edit_that_the_output_depends_on_is_a_warning(name, before, change, line):
    (problem,) = edited(name, before, before | change)
    assert str(problem).startswith(name + line)
    assert problem.fix.endswith("the model may now compute something else")
    assert (problem.severity, changes_output(problem)) == ("warning", True)


def test_characters_that_changed_places_are_named_with_both():
    found = edited("tokenizer.json", TOKENIZER, TOKENIZER | {"chars": ["b", "a", "c"]})
    assert [(p.where, p.what.partition(": ")[2]) for p in found] == [
        ("/chars/0", '"b", was "a"'),
        ("/chars/1", '"a", was "b"'),
    ]


@pytest.mark.parametrize(
    ("name", "before", "change"),
    [
        ("config.json", CONFIG, {"batch_size": 8}),
        ("config.json", CONFIG, {"device": "cuda"}),
        ("config.json", CONFIG, {"added_later": 2}),
        ("tokenizer.json", TOKENIZER, {"base_vocab_size": 3}),
        ("training_state.json", STATE, {"training_config": {"seed": 2}}),
        ("training_state.json", STATE, {"note": "yours"}),
    ],
)
def test_an_edit_that_nothing_depends_on_is_a_harmless_note(name, before, change):
    (problem,) = edited(name, before, before | change)
    assert problem.severity == "note"
    assert problem.fix.startswith("no action needed if that was meant: the model computes the same")
    assert not changes_output(problem)


def test_a_run_is_not_said_to_go_by_a_field_that_is_unknown():
    advice = "no action needed if that was meant: the model computes the same"
    training = {"seed": 1}
    for change, fix in (
        ({"typo": 3}, advice),
        ({"learning_rate": 3}, f"{advice}, and the next run goes by it"),
    ):
        now = STATE | {"training_config": training | change}
        (problem,) = edited("training_state.json", STATE, now)
        assert (problem.severity, problem.fix) == ("note", fix)


@pytest.mark.parametrize("change", [{"step": 9}, {"gold": {"best_step": 9}}])
def test_an_edit_that_a_resume_depends_on_is_a_warning_for_training_alone(change):
    (problem,) = edited("training_state.json", STATE, STATE | change)
    assert problem.severity == "warning"
    assert problem.fix.endswith("training would go on from it")
    assert not changes_output(problem)


def test_a_field_that_was_taken_out_is_named_with_what_it_was():
    (problem,) = edited("config.json", CONFIG, {k: v for k, v in CONFIG.items() if k != "n_head"})
    assert (problem.where, problem.what) == ("/n_head", "was removed after the save: it was 2")


@pytest.mark.parametrize(
    ("name", "before", "more"),
    [
        ("config.json", CONFIG, {"attn_scale": None, "rope_scale": 1.0}),
        ("tokenizer.json", TOKENIZER, {"special_token_encoder": {}}),
        ("training_state.json", STATE, {"data": None}),
    ],
)
def test_a_default_that_is_written_out_or_taken_out_is_no_edit(name, before, more):
    assert [p.kind for p in edited(name, before, before | more)] == ["manifest.reformatted"]
    assert [p.kind for p in edited(name, before | more, before)] == ["manifest.reformatted"]


def test_what_a_training_state_no_longer_says_is_an_edit():
    before = STATE | {"exact": True, "training_config": {"seed": 1337, "beta1": 0.9}}
    found = edited("training_state.json", before, STATE | {"training_config": {"seed": 1337}})
    assert [(p.where, p.what.partition(":")[0]) for p in found] == [
        ("/training_config/beta1", "was removed after the save"),
        ("/exact", "was removed after the save"),
    ]


def test_a_document_that_says_the_same_in_another_form_is_no_edit():
    compact = json.dumps(CONFIG | {"rope_theta": 10000}).encode()
    assert [p.kind for p in edited("config.json", CONFIG, compact)] == ["manifest.reformatted"]
    windows = strict_json.dump(CONFIG).replace(b"\n", b"\r\n")
    assert [p.kind for p in edited("config.json", CONFIG, windows)] == ["manifest.line_ends"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("config.json", "the model may now compute something else"),
        ("tokenizer.json", "the model may now compute something else"),
        ("training_state.json", "training would go on from it"),
    ],
)
def test_without_a_record_the_worst_is_assumed_and_said_so(name, advice):
    (problem,) = edited(name, {"a": 1}, {"a": 2}, is_recorded=False)
    assert problem.what == (
        "was edited after the save, and manifest.json does not record what it said"
    )
    assert (problem.severity, problem.fix.endswith(advice)) == ("warning", True)


def test_what_would_not_fit_a_manifest_is_not_recorded():
    deep = {}
    for _ in range(40):
        deep = {"a": deep}
    documents = {"config.json": CONFIG, "a.json": deep, "b.json": {"text": "a" * 70_000}}
    contents = {name: strict_json.dump(document) for name, document in documents.items()}
    assert record_documents({**contents, "model.pt": print}) == {"config.json": CONFIG}


def test_a_thousand_edits_are_cut_short_and_summarised_in_a_line():
    before, now = ([f"{char}{i}" for i in range(1000)] for char in "ab")
    found = edited("tokenizer.json", {"chars": before}, {"chars": now})
    assert len(found) == 51
    assert list(summarize_edits(found)) == [
        "tokenizer.json was edited after the save at /chars/0 and 50 more"
    ]
