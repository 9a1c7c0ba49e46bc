"""What the config of the option `like` may be, and what it may not."""

import json

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.containers.likeness import read_likeness

NANOGPT = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 4, "vocab_size": 5, "bias": True}


def write(folder, document):
    path = folder / "config.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("document", "program"),
    [
        ({"format_version": "2.0"}, "mypt"),
        ({"model_type": "gpt2"}, "transformers"),
        (NANOGPT, "nanoGPT"),
        ({"model_args": NANOGPT}, "nanoGPT"),
    ],
)
def test_the_content_says_whose_config_it_is(tmp_path, document, program):
    path = write(tmp_path, document)
    assert read_likeness(path, {}).program == program
    assert read_likeness(tmp_path, {}).program == program


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "is neither a config.json of mypt or Hugging Face nor the model_args of nanoGPT"),
        ({**NANOGPT, "rope": True}, "/rope: is not known to mypt"),
        ("{", "is not valid JSON|JSON"),
    ],
)
def test_what_is_none_of_them_is_refused(tmp_path, document, message):
    with pytest.raises(FormatError, match=message):
        read_likeness(write(tmp_path, document), {})


def test_a_file_that_is_missing_is_asked_for(tmp_path):
    with pytest.raises(FormatError, match=r"cannot be read: No such file.*--option like=config"):
        read_likeness(tmp_path / "none.json", {})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"format_version": "2.0", "n_layer": -1}, r"config\.json#/n_layer"),
        ({"format_version": "3.0", "n_layer": 1}, "format_version|3.0"),
        ({"model_type": "mixtral"}, "#?/model_type: is mixtral"),
        ({"model_type": "gpt2", "surprise": 1}, "/surprise: is not known"),
        ({"model_type": "gpt2", "auto_map": {"A": "b"}}, "auto_map: names code of its own"),
        ({**NANOGPT, "n_head": 0}, "n_head: is 0, not a positive whole number"),
    ],
)
def test_a_config_that_mypt_cannot_follow_is_refused(tmp_path, document, message):
    likeness = read_likeness(write(tmp_path, document), {})
    with pytest.raises(FormatError, match=message):
        likeness.convert({}, {}, "model")
