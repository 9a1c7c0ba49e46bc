import json

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.tokenizers.tokenizer_json import read_tokenizer_json

BPE = {"type": "BPE", "vocab": {}, "merges": []}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "/model"),
        ({"model": {"type": "Markov"}}, "/model"),
        ({"model": BPE, "normalizer": {"type": "Shout"}}, "/normalizer"),
        ({"model": BPE, "pre_tokenizer": {"type": "Sequence"}}, "/pre_tokenizer"),
        (
            {"model": BPE, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "X"}]}},
            "/pre_tokenizer/pretokenizers/0",
        ),
        ({"model": BPE, "post_processor": {"type": "Custom"}}, "/post_processor"),
        ({"model": BPE, "decoder": 5}, "/decoder"),
    ],
)
def test_a_part_of_an_unknown_type_is_refused(document, place, tmp_path):
    (tmp_path / "t").write_text(json.dumps(document))
    with pytest.raises(FormatError, match=f"#{place}: is of the type .*tokenizer=none"):
        read_tokenizer_json(tmp_path / "t")


def test_known_parts_pass(tmp_path):
    steps = [{"type": "NFC"}, {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]
    document = {"model": BPE, "normalizer": {"type": "Sequence", "normalizers": steps}}
    (tmp_path / "t").write_text(json.dumps(document))
    assert read_tokenizer_json(tmp_path / "t") == document
