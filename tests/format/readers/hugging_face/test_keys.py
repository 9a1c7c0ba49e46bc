"""No key of a config.json that changes the model is skipped."""

import dataclasses
import json
import shutil
import warnings

import pytest

import mypt
from mypt.format.errors import FormatError
from tests.support.paths import ROOT

FOLDERS = {
    "gpt2": ROOT / "tests" / "golden" / "hugging_face_gpt2" / "checkpoint",
    "llama": ROOT / "tests" / "golden" / "hugging_face_llama" / "checkpoint",
}


@pytest.fixture(params=FOLDERS)
def family(request):
    return request.param


@pytest.fixture
def with_keys(tmp_path, family):
    """Give a folder whose config has some more keys, or other values."""

    def make(**changed):
        shutil.copytree(FOLDERS[family], tmp_path / "hf", copy_function=shutil.copyfile)
        file = tmp_path / "hf" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))
        return tmp_path / "hf"

    return make


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"auto_map": {"AutoModel": "model.Model"}}, "/auto_map: names code of its own"),
        ({"architectures": ["MyAlibiLMHeadModel"]}, "/architectures: is MyAlibiLMHeadModel"),
        ({"use_alibi": True}, "/use_alibi: is not known"),
        ({"activation": "relu"}, "/activation: is not known"),
        ({"logit_softcap": 30.0}, "/logit_softcap: is not known"),
        ({"attention_multiplier": 0.2}, "/attention_multiplier: is not known"),
        ({"sliding_window": 8}, "/sliding_window: is 8"),
        ({"is_encoder_decoder": True}, "/is_encoder_decoder: is true"),
        ({"pruned_heads": {"0": [1]}}, "/pruned_heads: is an object of 1"),
        ({"per_layer_config": {"0": {}}}, "/per_layer_config: is an object of 1"),
    ],
)
def test_what_may_change_the_model_is_refused(with_keys, plugins, changed, message):
    with pytest.raises(FormatError, match=message):
        mypt.get_model_info(with_keys(**changed), plugins=plugins)


def test_what_changes_nothing_is_let_pass(with_keys, plugins):
    folder = with_keys(
        auto_map=None,
        architectures=None,
        sliding_window=None,
        pruned_heads={},
        use_cache=False,
        torch_dtype="bfloat16",
        task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}},
        _name_or_path="somewhere",
        pad_token_id=0,
        prefix=None,
        _flash_attn_2_enabled=True,
        repetition_penalty=1.1,
    )
    assert mypt.get_model_info(folder, plugins=plugins)["parameters"]


def test_every_key_of_transformers_itself_is_known(family, with_keys, plugins):
    """Its default config is read, whatever it holds: a new release may add a key."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
    cls = {"gpt2": transformers.GPT2Config, "llama": transformers.LlamaConfig}[family]
    held = json.loads((FOLDERS[family] / "config.json").read_text())
    fields = {field.name for field in dataclasses.fields(cls)}
    defaults = {name: value for name, value in cls().to_dict().items() if name in fields}
    folder = with_keys(**(defaults | held))
    assert mypt.get_model_info(folder, plugins=plugins)["parameters"]
