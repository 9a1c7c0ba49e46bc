import pytest

from mypt.export.gguf.vocabulary import describe_vocabulary
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.readers.gguf.pre_tokenizers import PRE_TOKENIZERS
from mypt.format.readers.gguf.vocabulary import read_vocabulary
from tests.format.readers.gguf.test_vocabulary import START, make_byte_bpe, make_sentencepiece


@pytest.fixture
def describe(plugins):
    def describe(document, size):
        state = from_document(TokenizerState, document)

        def build():
            return plugins.tokenizer(state.token_kind).build(to_document(state))

        return describe_vocabulary(state, size, build)

    return describe


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_a_byte_level_vocabulary_is_described_as_it_was_read(pre, describe):
    metadata = make_byte_bpe(pre, **{START + "add_bos_token": True, START + "eot_token_id": 268})
    metadata["tokenizer.chat_template"] = "{{ messages }}"
    found, notes = describe(read_vocabulary(metadata, 270, "", []), 270)
    assert notes == []
    alike = PRE_TOKENIZERS[found[START + "pre"]]
    wanted = PRE_TOKENIZERS[pre]
    assert (alike.words, alike.ignore_merges) == (wanted.words, wanted.ignore_merges)
    assert {**found, START + "pre": pre} == metadata


def test_rows_without_a_token_are_unused(describe):
    found, _ = describe({"token_kind": "char", "chars": ["a", "\n"]}, 4)
    assert found == {
        START + "model": "rwkv",
        START + "tokens": ["a", "\\x0a", "[PAD2]", "[PAD3]"],
        START + "token_type": [1, 1, 5, 5],
    }
    assert read_vocabulary(found, 4, "", [])["chars"] == ["a", "\n"]


def test_characters_keep_their_special_tokens_and_roles(describe):
    document = {
        "token_kind": "char",
        "chars": ["a", "\n"],
        "special_token_encoder": {"<|end|>": 2, "<|user|>": 4},
        "special_tokens": {"eos": [2], "user": 4},
        "chat_template": "{{ messages }}<|end|>",
    }
    found, notes = describe(document, 5)
    assert notes == []
    assert found[START + "tokens"] == ["a", "\\x0a", "<|end|>", "[PAD3]", "<|user|>"]
    assert found[START + "token_type"] == [1, 1, 3, 5, 3]
    assert found[START + "eos_token_id"] == 2
    back = read_vocabulary(found, 5, "", [])
    roles = {"special_tokens": {"eos": [2], "turn_end": [2]}}  # its kind of file has no others
    for name, value in {**document, **roles}.items():
        assert back[name] == value


def test_gpt2_is_itself_again(describe):
    document = {
        "token_kind": "gpt2",
        "special_token_encoder": {"<|endoftext|>": 50256, "<x>": 50300},
        "special_tokens": {"bos": [50256], "eos": [50256]},
    }
    found, notes = describe(document, 50304)
    assert notes == []
    assert (found[START + "pre"], len(found[START + "merges"])) == ("gpt-2", 50000)
    back = read_vocabulary(found, 50304, "", [])
    assert {name: back[name] for name in document} == document


def test_a_vocabulary_without_an_end_gets_one_that_no_text_has(describe):
    metadata = make_byte_bpe()
    del metadata[START + "bos_token_id"], metadata[START + "eos_token_id"]
    found, notes = describe(read_vocabulary(metadata, 270, "", []), 270)
    assert found[START + "eos_token_id"] == found[START + "bos_token_id"] == 255
    assert notes == ["no token ends a text: llama.cpp is given one that no text has"]


def test_a_vocabulary_of_another_kind_is_left_out_and_told_of(describe):
    metadata = make_sentencepiece()
    size = len(metadata[START + "tokens"])
    found, notes = describe(read_vocabulary(metadata, size, "", []), size)
    assert set(found[START + "token_type"]) == {5}
    assert read_vocabulary(found, size, "", []) is None
    (note,) = notes
    assert "the file has no tokenizer" in note
    assert "byte" in note


def test_another_way_to_split_texts_is_left_out_and_told_of(describe):
    document = read_vocabulary(make_byte_bpe(), 270, "", [])
    tokenizer = document["plugins"]["mypt-bpe"]["tokenizer"]
    tokenizer["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": True}
    _, (note,) = describe(document, 270)
    assert "does not work on the bytes of a text as it is" in note
    split = {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, level]}
    _, (note,) = describe(document, 270)
    assert "splits texts into words in a way that llama.cpp does not know" in note


def test_a_model_without_a_tokenizer_has_none_in_the_file():
    found, notes = describe_vocabulary(None, 3, lambda: None)
    assert found[START + "tokens"] == ["[PAD0]", "[PAD1]", "[PAD2]"]
    assert notes == ["the file has no tokenizer: the model has none"]
