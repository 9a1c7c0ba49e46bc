import json
from itertools import pairwise

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.shared import vocabulary
from mypt.format.readers.shared.vocabulary import GPT2_SHA256, digest_bpe, is_gpt2
from mypt.tokenizers.gpt2 import Gpt2Tokenizer, _load_ranks


def byte_names():
    """The characters that stand for the 256 bytes in GPT-2's own files."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(256 + i) for i, b in enumerate(others)}


def parts_of(token, ranks):
    """The two tokens that were merged into this one."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        at = pairs.index(min(pairs))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


@pytest.fixture(scope="module")
def gpt2():
    """GPT-2's tokenizer.json, made from the ranks that mypt ships."""
    ranks, names = _load_ranks(), byte_names()

    def show(token):
        return "".join(names[byte] for byte in token)

    longer = sorted((rank, token) for token, rank in ranks.items() if len(token) > 1)
    end = {"id": 50256, "content": "<|endoftext|>", "special": True}
    end |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "normalizer": None,
        "added_tokens": [end],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "model": {
            "type": "BPE",
            "vocab": {show(token): rank for token, rank in ranks.items()}
            | {"<|endoftext|>": 50256},
            "merges": [" ".join(map(show, parts_of(token, ranks))) for _, token in longer],
        },
    }


def test_the_pinned_digest_is_that_of_the_ranks_that_mypt_ships(gpt2):
    assert digest_bpe(gpt2["model"]["vocab"], gpt2["model"]["merges"]) == GPT2_SHA256
    assert is_gpt2(gpt2)


def test_merges_in_the_newer_form_are_the_same(gpt2):
    pairs = [merge.split(" ") for merge in gpt2["model"]["merges"]]
    assert digest_bpe(gpt2["model"]["vocab"], pairs) == GPT2_SHA256


def test_a_tokenizer_that_differs_in_one_token_or_setting_is_not_gpt2s(gpt2):
    model = gpt2["model"]
    vocab = dict(model["vocab"])
    first, second = list(vocab)[1000:1002]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    assert not is_gpt2({**gpt2, "model": {**model, "vocab": vocab}})
    assert not is_gpt2({**gpt2, "model": {**model, "merges": model["merges"][::-1]}})
    assert not is_gpt2({**gpt2, "normalizer": {"type": "NFC"}})
    prefixed = {"type": "ByteLevel", "add_prefix_space": True}
    assert not is_gpt2({**gpt2, "pre_tokenizer": prefixed})
    assert not is_gpt2({**gpt2, "added_tokens": [{"id": 7, "content": "x"}]})
    assert not is_gpt2({**gpt2, "model": {**model, "dropout": 0.1}})
    assert not is_gpt2({})


def test_a_tokenizer_that_begins_each_text_with_a_token_is_not_gpt2s(gpt2):
    text = {"Sequence": {"id": "A", "type_id": 0}}
    begin = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    template = {"type": "TemplateProcessing", "pair": [], "special_tokens": {}}
    assert is_gpt2({**gpt2, "post_processor": {**template, "single": [text]}})
    assert is_gpt2({**gpt2, "post_processor": {"type": "ByteLevel", "trim_offsets": False}})
    assert not is_gpt2({**gpt2, "post_processor": {**template, "single": [begin, text]}})
    assert not is_gpt2({**gpt2, "post_processor": {**template, "single": [text, begin]}})


def test_gpt2s_tokenizer_json_gives_the_ids_of_tokenizers(gpt2, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(gpt2), "utf-8")
    document = vocabulary.read_hugging_face_document(path, 50257, [])
    assert document["token_kind"] == "gpt2"
    ours = Gpt2Tokenizer.build(document)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    text = "Hello  world,\n\n don't 12345 naïve 😀<|endoftext|>The end   "
    assert ours.encode(text) == theirs.encode(text).ids


def test_a_vocabulary_smaller_than_the_model_is_padded_and_a_larger_one_refused():
    report = []
    document = vocabulary.make_char_document("abc", 64, "meta.pkl", report)
    assert document["chars"] == ["a", "b", "c"]
    assert report == [
        "meta.pkl has 3 characters for the 64 rows of the model: the rows beyond them have no text"
    ]
    with pytest.raises(FormatError, match=r"has 3 different characters, but .* 2 rows"):
        vocabulary.make_char_document("abc", 2, "meta.pkl", report)
    assert vocabulary.make_char_document("abc", 3, "meta.pkl", report)
    assert len(report) == 1


def test_an_added_token_without_a_row_is_left_out_alone(tmp_path):
    added = [{"id": 1, "content": "<s>"}, {"id": 3, "content": "[PAD]"}]
    model = {"type": "BPE", "vocab": {"a": 0, "b": 2}, "merges": []}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"added_tokens": added, "model": model}), "utf-8")
    report = []
    document = vocabulary.read_hugging_face_document(path, 3, report)
    kept = document["plugins"]["mypt-bpe"]["tokenizer"]
    assert (kept["added_tokens"], kept["model"]) == (added[:1], model)
    assert report == ["the token '[PAD]' is left out: its id is 3, and the model has 3 rows"]
    with pytest.raises(FormatError, match="has the id 2, but the model has 2 rows"):
        vocabulary.read_hugging_face_document(path, 2, report)
