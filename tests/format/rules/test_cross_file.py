from mypt.format.documents.manifest import FileRecord
from mypt.format.rules.cross_file import (
    presence_problems,
    size_problems,
    state_problems,
    tokenizer_problems,
)


def tokenizer(vocab_size, **fields):
    return [str(p) for p in tokenizer_problems(fields, vocab_size, "tokenizer.json")]


def test_a_vocabulary_may_be_smaller_than_the_model_but_not_larger():
    for size in (3, 4, 50304):
        assert tokenizer(size, token_kind="char", chars=["a", "b", "c"]) == []
    assert tokenizer(2, token_kind="char", chars=["a", "b", "c"]) == [
        "tokenizer.json#/chars: needs 3 ids, but the model's vocab_size is 2; "
        "restore both files from the same checkpoint"
    ]


def test_gpt2_needs_its_ids_and_those_of_its_special_tokens():
    special = {"<a>": 50257, "<b/>": 50258}
    assert tokenizer(50259, token_kind="gpt2", special_token_encoder=special) == []
    (line,) = tokenizer(50258, token_kind="gpt2", special_token_encoder=special)
    assert line.startswith("tokenizer.json#/special_token_encoder/<b~1>: has id 50258, but")
    (line,) = tokenizer(50256, token_kind="gpt2")
    assert line.startswith("tokenizer.json#/token_kind: needs 50257 ids")


def test_two_special_tokens_of_one_id_are_refused():
    (line,) = tokenizer(9, token_kind="bytes", special_token_encoder={"<a>": 7, "<b>": 7})
    assert 'has id 7, which "<a>" also has' in line


def test_a_special_token_is_none_of_the_tokenizer_itself():
    (line,) = tokenizer(9, token_kind="char", chars=["a", "b"], special_token_encoder={"<a>": 1})
    assert line == (
        "tokenizer.json#/special_token_encoder/<a>: has id 1, which is taken: the tokenizer itself "
        "has 2 ids; give it an id from 2 on"
    )
    special = {"<|endoftext|>": 50256, "<a>": 50256, "<b>": 7}
    found = tokenizer(50304, token_kind="gpt2", special_token_encoder=special)
    assert [line.partition(": has id")[0].rpartition("/")[2] for line in found] == ["<a>"] * 2 + [
        "<b>"
    ]
    assert tokenizer(9, token_kind="char", chars=["a"], special_token_encoder={"<a>": 1}) == []
    assert tokenizer(9, token_kind="bytes", special_token_encoder={"<a>": 1}) == []


def test_every_token_with_a_role_has_a_row_and_a_bos_that_is_added_is_named():
    roles = {"bos": [2], "eos": [1, 3], "pad": 4, "unk": None, "turn_end": []}
    found = tokenizer(3, token_kind="char", chars=["a"], special_tokens=roles, add_bos=True)
    assert [line.partition(";")[0] for line in found] == [
        "tokenizer.json#/special_tokens/eos/1: is 3, but the model's vocab_size is 3",
        "tokenizer.json#/special_tokens/pad: is 4, but the model's vocab_size is 3",
    ]
    assert tokenizer(5, token_kind="other", special_tokens=roles, add_bos=True) == []
    (line,) = tokenizer(5, token_kind="other", special_tokens={"bos": []}, add_bos=True)
    assert line.startswith("tokenizer.json#/add_bos: is true, but special_tokens names no bos")


def test_an_optimizer_file_that_is_not_there_is_a_warning():
    state = {"step": 3, "optimizer_file": "optimizer.pt"}
    assert state_problems(state, ["optimizer.pt"], "x") == []
    assert state_problems({"step": 3, "optimizer_file": None}, [], "x") == []
    (problem,) = state_problems(state, [], "training_state.json")
    assert problem.severity == "warning"
    assert str(problem).startswith(
        "training_state.json#/optimizer_file: names optimizer.pt, which does not exist"
    )


def test_steps_that_lie_after_the_step_are_a_warning():
    state = {"step": 3, "training_config": {"start_step": 4}, "gold": {"best_step": 5}}
    found = state_problems(state, [], "x")
    assert [p.where for p in found] == ["/training_config/start_step", "/gold/best_step"]
    assert state_problems({"step": 3, "gold": {"best_step": None}}, [], "x") == []


def test_a_file_of_another_size_is_an_error():
    record = FileRecord(size_bytes=3, sha256="0" * 64)
    assert size_problems(record, 3, "x") == []
    assert [p.severity for p in size_problems(record, 4, "x")] == ["error"]


def test_what_inference_needs_is_missed_more_than_the_rest(tmp_path):
    found = presence_problems({}, ["training_state.json"], tmp_path)
    assert [(p.file, p.severity) for p in found] == [
        (f"{tmp_path}/config.json", "error"),
        (f"{tmp_path}/model.pt", "error"),
        (f"{tmp_path}/tokenizer.json", "warning"),
        (f"{tmp_path}/training_state.json", "error"),
    ]
