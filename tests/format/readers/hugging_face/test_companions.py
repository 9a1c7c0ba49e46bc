import json

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.companions import read_companions

ENDS = {"bos_token_id": 1, "eos_token_id": [2, 3]}


def test_the_documents_beside_a_tokenizer_are_kept(tmp_path):
    documents = {
        "tokenizer_config": {"eos_token": "</s>"},
        "generation_config": {"eos_token_id": 2},
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    (tmp_path / "special_tokens_map.json").write_text("{}")
    assert read_companions(tmp_path, ENDS) == documents


def test_the_ids_of_the_config_stand_for_a_generation_config(tmp_path):
    assert read_companions(tmp_path, {**ENDS, "n_layer": 2}) == {"generation_config": ENDS}
    assert read_companions(tmp_path, {"bos_token_id": None}) == {}


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("{,")
    with pytest.raises(FormatError, match=r"tokenizer_config\.json"):
        read_companions(tmp_path, {})
