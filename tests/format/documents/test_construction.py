import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from mypt.format.documents import construction
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import Phase, TrainingConfig
from mypt.format.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "plain"),
    [(np.int64(8), 8), (np.uint8(8), 8), (2, 2), (2.0, 2), (np.float32(2), 2)],
)
def test_a_document_has_whole_numbers_of_python(given, plain):
    for found in (GPTConfig(n_layer=given).n_layer, TrainingConfig(max_iters=given).max_iters):
        assert found == plain
        assert type(found) is int


@pytest.mark.parametrize(
    ("given", "plain"), [(np.float32(0.5), 0.5), (Fraction(1, 4), 0.25), (0.5, 0.5), (0, 0)]
)
def test_a_document_has_numbers_of_python(given, plain):
    found = GPTConfig(dropout=given).dropout
    assert found == plain
    assert type(found) is type(plain)


def test_a_document_has_paths_as_text_and_lists_as_tuples():
    made = TrainingConfig(input_file=[Path("a"), "b"], dataset_dir=Path("c") / "d")
    assert (made.input_file, made.dataset_dir) == (("a", "b"), str(Path("c") / "d"))


def test_members_of_a_mapping_are_those_of_json():
    made = TrainingConfig(gold_metric={"val": np.float32(0.5)}, eval_sets={"a": Path("b")})
    assert (made.gold_metric, made.eval_sets) == ({"val": 0.5}, {"a": "b"})
    plugins = GPTConfig(plugins={"acme": {"n": [np.int64(3), (1, 2)]}}).plugins
    assert json.dumps(plugins) == '{"acme": {"n": [3, [1, 2]]}}'


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: GPTConfig(n_layer="six"),
            'n_layer: is "six", not a whole number; write a whole number from 0 to 100000',
        ),
        (lambda: GPTConfig(n_layer=1.5), "n_layer: is 1.5, not a whole number; "),
        (lambda: GPTConfig(n_layer=True), "n_layer: is true, not a whole number; "),
        (lambda: GPTConfig(dropout=float("nan")), "dropout: is nan; write a finite number"),
        (lambda: GPTConfig(mlp_type="GELU!"), 'mlp_type: is "GELU!", '),
        (lambda: GPTConfig(plugins={"Mine": {}}), 'plugins/Mine: is "Mine", '),
        (lambda: GPTConfig(rope_theta=1j), "rope_theta: is a complex, not a number; "),
        (lambda: GPTConfig(device=object()), "device: is a object, not text or null; "),
        (lambda: GPTConfig(n_heads=3), "n_heads: is not an argument (did you mean `n_head`?); "),
        (lambda: GPTConfig(6), "batch_size: is given unnamed; "),
        (
            lambda: TrainingConfig(max_iters=-5),
            "max_iters: is -5, less than 1; write a whole number from 1 to 9007199254740992",
        ),
        (lambda: TrainingConfig(sampling="epochs"), 'sampling: is "epochs", '),
        (lambda: TrainingConfig(input_file=[]), "input_file: is a list of 0, "),
        (lambda: TrainingConfig(curriculum=[Phase(name="")]), 'curriculum/0/name: is "", '),
        (lambda: TrainingConfig(eval_sets={"a": 3}), "eval_sets/a: is 3, "),
        (lambda: TrainingConfig(max_iter=5), "max_iter: is not an argument (did you mean "),
        (lambda: evolve(GPTConfig(), n_head=0), "n_head: is 0, less than 1; "),
    ],
)
def test_a_document_that_no_file_could_hold_is_refused(make, said):
    with pytest.raises(ConfigError) as refused:
        make()
    assert str(refused.value).startswith(said)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(ConfigError) as refused:
        GPTConfig(n_layer="six", n_head=-1, dropout=1)
    assert [problem.where for problem in refused.value.problems] == ["n_head", "n_layer", "dropout"]


def test_what_a_schema_has_accepted_is_not_checked_again(monkeypatch):
    document = to_document(GPTConfig())
    monkeypatch.setattr(construction, "check_document", None)
    assert from_document(GPTConfig, document).n_layer == document["n_layer"]
    with pytest.raises(TypeError):
        GPTConfig()


def test_a_document_that_was_read_goes_there_and_back():
    phases = (Phase(name="one", until_iter=3, extra={"later": 1}), Phase(name="two"))
    made = TrainingConfig(curriculum=phases, eval_sets={"a": "b"}, extra={"later": [1]})
    assert from_document(TrainingConfig, to_document(made)) == made
    assert pickle.loads(pickle.dumps(made)) == made
