import hashlib
import json
import re

from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.documents.settings_digest import digest_settings
from mypt.format.documents.training import TrainingConfig

CONFIG = {"block_size": 8, "vocab_size": 14, "n_embd": 8, "n_head": 2, "n_layer": 1, "dropout": 0.2}
TRAINING = {"max_iters": 20, "learning_rate": 0.001}


def digest(config=CONFIG, training=TRAINING):
    document = {"format_version": "2.0", **config}
    return digest_settings(
        from_document(GPTConfig, document), from_document(TrainingConfig, training)
    )


def text_digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_examples_of_the_specification_have_their_digests(root):
    page = (root / "docs" / "specification" / "2.0.md").read_text("utf-8")
    section = page.partition("### 6.8")[2].partition("## 7")[0]
    texts = re.findall(r'`(\{"config":\{.*\})`', section)
    told = re.findall("`([0-9a-f]{64})`", section)
    shown = [json.loads(found) for found in re.findall(r'`(\{"(?!config").*?\})`', section)]
    made = [digest(*shown[:2]), digest(*shown[2:])]
    assert [text_digest(text) for text in texts] == told == made
    assert shown[:2] == [CONFIG, TRAINING]
    assert {"rope_scaling", "curriculum"} <= {*shown[2], *shown[3]}


def test_what_is_required_is_there_with_the_values_that_python_takes_by_default():
    sizes = {"block_size": 256, "n_embd": 384, "n_head": 6, "n_layer": 6, "vocab_size": 50304}
    made = digest_settings(GPTConfig(head_bias=None), TrainingConfig())
    text = json.dumps({"config": sizes, "training_config": {}}, separators=(",", ":"))
    assert made == digest(sizes, {}) == text_digest(text)


def test_a_default_is_no_setting_inside_an_object_and_what_no_table_has_is_one():
    scaling = {"kind": "yarn", "factor": 2, "original_block_size": 4}
    phases = [{"name": "all"}]
    bare = digest({**CONFIG, "rope_scaling": scaling}, {"curriculum": phases})
    whole = {**scaling, "attention_factor": None, "beta_fast": 32, "truncate": True}
    phase = {"name": "all", "until_iter": None, "dataset_dir": None, "description": ""}
    assert digest({**CONFIG, "rope_scaling": whole}, {"curriculum": [phase]}) == bare
    others = [
        digest({**CONFIG, "rope_scaling": {**scaling, "truncate": False}}, {"curriculum": phases}),
        digest({**CONFIG, "rope_scaling": {**scaling, "later": None}}, {"curriculum": phases}),
        digest(CONFIG, {"gold_guards": {"acme": {}}}),
        digest(CONFIG, {"gold_guards": {"acme": {"until_iter": None}}}),
        digest({**CONFIG, "plugins": {"acme": {"device": None}}}),
        digest({**CONFIG, "plugins": {"acme": {"device": "cpu"}}}),
    ]
    assert len({bare, *others}) == 1 + len(others)


def test_only_an_integer_field_has_all_its_digits():
    sizes = '"block_size":8,"n_embd":8,"n_head":2,"n_layer":1'
    config = f'{{{sizes},"plugins":{{"acme":{{"a":1e+22}}}},"rope_theta":1e+22,"vocab_size":14}}'
    text = f'{{"config":{config},"training_config":{{"seed":9007199254740993}}}}'
    for number in (10**22, 1e22):
        numbers = {"rope_theta": number, "plugins": {"acme": {"a": number}}}
        assert digest({**CONFIG, **numbers}, {"seed": 2**53 + 1}) == text_digest(text)
        made = GPTConfig(**CONFIG, **numbers, head_bias=None)
        assert digest_settings(made, TrainingConfig(seed=2**53 + 1)) == text_digest(text)


def test_a_value_is_the_same_however_it_is_written_and_a_default_is_no_setting():
    same = {**CONFIG, "n_embd": 8.0, "bias": False, "plugins": {}, "mlp_hidden": None}
    assert digest(same, {**TRAINING, "weight_decay": 0.1, "curriculum": []}) == digest()


def test_what_decides_the_weights_changes_it_and_where_a_run_was_does_not():
    of_a_run = {"start_step": 5, "log_file": "x.jsonl"}
    assert digest({**CONFIG, "device": "cuda"}, {**TRAINING, **of_a_run}) == digest()
    others = [
        digest({**CONFIG, "bias": True}),
        digest({**CONFIG, "dropout": 0.3}),
        digest(CONFIG, {**TRAINING, "seed": 1}),
        digest(CONFIG, {**TRAINING, "input_file": "a.txt"}),
        digest(CONFIG, {**TRAINING, "a_later_setting": 1}),
    ]
    assert len({digest(), *others}) == 1 + len(others)


def test_what_is_required_follows_from_the_rest_and_is_known_once_it_is_saved():
    assert digest({**CONFIG, "requires": ["plugin/acme"], "format_version": "2.1"}) == digest()


def test_what_a_run_takes_by_default_is_what_it_was_told():
    config, training = GPTConfig(**CONFIG, head_bias=None), TrainingConfig(**TRAINING)
    assert digest_settings(config, evolve(training, absent=frozenset())) == digest()


def test_what_a_new_model_has_otherwise_than_a_document_that_leaves_it_out_is_a_setting():
    made = digest_settings(GPTConfig(**CONFIG), TrainingConfig(**TRAINING))
    assert made == digest({**CONFIG, "head_bias": False}) != digest()
