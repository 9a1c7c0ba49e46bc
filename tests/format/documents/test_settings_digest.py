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


def test_the_example_of_the_specification_has_its_digest(root):
    page = (root / "docs" / "specification" / "2.0.md").read_text("utf-8")
    section = page.partition("### 6.8")[2].partition("## 7")[0]
    (text,) = re.findall(r'`(\{"config":\{.*\})`', section)
    (told,) = re.findall("`([0-9a-f]{64})`", section)
    assert hashlib.sha256(text.encode()).hexdigest() == told == digest()
    shown = [json.loads(found) for found in re.findall(r'`(\{"(?!config").*?\})`', section)]
    assert shown == [CONFIG, TRAINING]


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
    config, training = GPTConfig(**CONFIG), TrainingConfig(**TRAINING)
    assert digest_settings(config, evolve(training, absent=frozenset())) == digest()
