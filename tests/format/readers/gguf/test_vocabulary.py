import json

import numpy as np
import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.readers.gguf import rwkv_text
from mypt.format.readers.gguf.pre_tokenizers import PRE_TOKENIZERS
from mypt.format.readers.gguf.vocabulary import read_vocabulary

START = "tokenizer.ggml."
TEXTS = [
    "Hello world",
    "  two  spaces\n\nand\tlines \n",
    "it's 12345 o'clock, isn't it?? $5.00",
    "Grüße, 你好! 🙂 x=y+z; camelCase HTTPServer",
    "",
]


def read(metadata, size=None, file="model.gguf"):
    report = []
    size = len(metadata[START + "tokens"]) if size is None else size
    return read_vocabulary(metadata, size, file, report)


def list_byte_alphabet():
    """Return how GPT-2 spells the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in kept]
    spelt = dict(zip(kept, map(chr, kept), strict=True))
    return spelt | {byte: chr(256 + n) for n, byte in enumerate(moved)}


def make_byte_bpe(pre="gpt-2", **more):
    """Return a byte-level vocabulary with some merges and two special tokens."""
    alphabet = list_byte_alphabet()
    merges = ["l l", "h e", "he ll", "hell o", "o r", "Ġ w", "1 2", "3 4", "' s", "Ġ Ġ", "Ċ Ċ"]
    tokens = [alphabet[byte] for byte in range(256)] + [m.replace(" ", "") for m in merges]
    types = [1] * len(tokens) + [3, 4, 5]
    tokens += ["<|end|>", "<call>", "[PAD269]"]
    return {
        START + "model": "gpt2",
        START + "pre": pre,
        START + "tokens": tokens,
        START + "token_type": types,
        START + "merges": merges,
        START + "bos_token_id": len(tokens) - 3,
        START + "eos_token_id": len(tokens) - 3,
        **more,
    }


def make_sentencepiece(**more):
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [2, 3, 3] + [6] * 256
    words = ["▁", *"eloHwrd", "ll", "He", "▁w", "or", "Hell", "Hello", "▁wor"]
    return {
        START + "model": "llama",
        START + "tokens": pieces + words,
        START + "scores": [0.0] * len(pieces) + [-float(n) for n in range(len(words))],
        START + "token_type": types + [1] * len(words),
        START + "bos_token_id": 1,
        START + "eos_token_id": 2,
        **more,
    }


def build(document, plugins):
    return plugins.tokenizer(document["token_kind"]).build(document)


class TestByteBpe:
    def test_ids_and_texts_go_there_and_back(self, plugins):
        tokenizer = build(read(make_byte_bpe()), plugins)
        for text in TEXTS:
            assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.encode("hello") == [256 + 3]

    def test_special_tokens_are_found_in_texts(self, plugins):
        document = read(make_byte_bpe())
        assert build(document, plugins).encode("<|end|>a<call>") == [267, ord("a"), 268]
        assert document["special_tokens"] == {"bos": [267], "eos": [267]}
        assert document["add_bos"] is False

    def test_the_file_says_whether_a_text_begins_with_bos(self):
        assert read(make_byte_bpe(**{START + "add_bos_token": True}))["add_bos"] is True
        assert read(make_byte_bpe("llama-bpe"))["add_bos"] is True
        assert (
            read(make_byte_bpe("llama-bpe", **{START + "add_bos_token": False}))["add_bos"] is False
        )

    def test_more_tokens_may_end_a_text(self):
        document = read(make_byte_bpe(**{START + "eot_token_id": 268}))
        assert document["special_tokens"]["eos"] == [267, 268]

    def test_the_chat_template_comes_along(self):
        templates = {
            "tokenizer.chat_template": "{{ messages }}",
            "tokenizer.chat_templates": ["tools"],
            "tokenizer.chat_template.tools": "{{ tools }}",
        }
        document = read(make_byte_bpe(**templates))
        assert document["chat_template"] == "{{ messages }}"
        assert document["additional_chat_templates"] == {"tools": "{{ tools }}"}

    def test_an_unknown_way_to_split_texts_is_refused(self):
        with pytest.raises(FormatError, match=r"pre: is 'tekken'; .*tokenizer=none"):
            read(make_byte_bpe("tekken"))

    def test_a_file_that_does_not_say_it_splits_by_default(self):
        metadata = make_byte_bpe()
        del metadata[START + "pre"]
        assert read(metadata) == read(make_byte_bpe("default"))

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"merges": ["l l", "nonsense"]}, "has 'nonsense', which merges no tokens"),
            ({"merges": ["z z"]}, "has 'z z', which merges no tokens"),
            ({"merges": [1]}, "is not a list of str"),
            ({"token_type": [1, 1]}, "has 2 items for 270 tokens"),
            ({"bos_token_id": 270}, "is 270, which is no token"),
            ({"bos_token_id": "x"}, "is 'x', which is no token"),
            ({"add_bos_token": 1}, "is 1, not true or false"),
            ({"model": "bert"}, "is 'bert'; mypt reads gpt2 and llama"),
        ],
    )
    def test_damage_is_refused(self, changed, reason):
        metadata = make_byte_bpe(**{START + name: value for name, value in changed.items()})
        with pytest.raises(FormatError, match=reason):
            read(metadata)

    def test_two_tokens_of_one_text_are_refused(self):
        metadata = make_byte_bpe()
        metadata[START + "tokens"][7] = metadata[START + "tokens"][8]
        with pytest.raises(FormatError, match="two tokens of the same text"):
            read(metadata)


def test_there_must_be_a_token_for_each_row():
    with pytest.raises(FormatError, match="has 270 tokens, but the model has 300 rows"):
        read(make_byte_bpe(), 300)


@pytest.mark.parametrize("model", [None, "none", "no_vocab"])
def test_a_file_may_have_no_tokenizer(model):
    assert read({} if model is None else {START + "model": model}, 8) is None


class TestSentencePiece:
    def test_ids_are_those_of_the_scores(self, plugins):
        metadata = make_sentencepiece()
        tokenizer = build(read(metadata), plugins)
        tokens = metadata[START + "tokens"]
        found = [tokens[number] for number in tokenizer.encode("Hello wor!")]
        assert found == ["▁", "Hello", "▁wor", "<0x21>"]

    def test_the_file_says_whether_a_text_begins_with_a_space(self, plugins):
        metadata = make_sentencepiece(**{START + "add_space_prefix": False})
        tokenizer = build(read(metadata), plugins)
        assert [metadata[START + "tokens"][n] for n in tokenizer.encode("Hello")] == ["Hello"]

    def test_a_text_begins_with_bos_unless_the_file_says_otherwise(self):
        assert read(make_sentencepiece())["add_bos"] is True
        without = make_sentencepiece(**{START + "add_bos_token": False})
        assert read(without)["add_bos"] is False

    def test_scores_of_another_number_are_refused(self):
        with pytest.raises(FormatError, match=r"scores: has 1 items"):
            read(make_sentencepiece(**{START + "scores": [1.0]}))


class TestCharacters:
    def test_they_come_back_as_characters(self):
        chars = ["a", "\\", "\n", "é", "中", "🙂", " "]
        metadata = {
            START + "model": "rwkv",
            START + "tokens": [*map(rwkv_text.escape, chars), "[PAD7]"],
            START + "token_type": [1] * 7 + [5],
        }
        document = read(metadata)
        assert (document["token_kind"], document["chars"]) == ("char", chars)

    def test_another_vocabulary_of_that_kind_is_refused(self):
        metadata = {START + "model": "rwkv", START + "tokens": ["ab", "c"]}
        with pytest.raises(FormatError, match="other than distinct single characters"):
            read(metadata)


# The real llama.cpp makes the same ids: a model whose next token tells the ids before it.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp", reason="llama.cpp (xllamacpp) is not installed")
    from tests.support.gguf_files import write_file
    from tests.support.llama_cpp import LlamaCpp

    folder = tmp_path_factory.mktemp("vocabularies")

    def run(metadata, name):
        path = folder / f"{name}.gguf"
        size, width = len(metadata[START + "tokens"]), 32
        random = np.random.default_rng(0)
        shapes = {
            "token_embd.weight": (size, width),
            "output_norm.weight": (width,),
            "output.weight": (size, width),
            **{f"blk.0.attn_{part}.weight": (width, width) for part in ("q", "k", "v", "output")},
            **{f"blk.0.{part}_norm.weight": (width,) for part in ("attn", "ffn")},
            "blk.0.ffn_gate.weight": (width, width),
            "blk.0.ffn_up.weight": (width, width),
            "blk.0.ffn_down.weight": (width, width),
        }
        keys = {
            "context_length": 128,
            "embedding_length": width,
            "block_count": 1,
            "feed_forward_length": width,
            "attention.head_count": 2,
            "attention.layer_norm_rms_epsilon": 1e-6,
        }
        tensors = {n: random.normal(size=shape).astype(np.float32) for n, shape in shapes.items()}
        write_file(path, "llama", keys, tensors, more=metadata)
        return mypt.load(path), LlamaCpp(path, length=128), size

    return run


@pytest.mark.parametrize("pre", [*PRE_TOKENIZERS, "sentencepiece", "sentencepiece without a space"])
def test_llama_cpp_makes_the_same_ids(pre, run):
    if pre.startswith("sentencepiece"):
        has_space = pre == "sentencepiece"
        metadata = make_sentencepiece(**{START + "add_space_prefix": has_space})
    else:
        metadata = make_byte_bpe(pre)
    model, llama, size = run(metadata, pre)
    for text in filter(None, TEXTS):
        begin = model.tokenizer_state.begin_ids
        ids = [*begin, *model.need_tokenizer().encode(text)]
        with torch.no_grad():
            wanted = model(torch.tensor([ids]))[0, -1].double().log_softmax(0).numpy()
        np.testing.assert_allclose(llama.log_probs(text, size), wanted, atol=1e-3, err_msg=text)


def test_the_document_is_one_of_hugging_face(transformers):
    tokenizers = pytest.importorskip("tokenizers")
    for metadata in (make_byte_bpe(), make_byte_bpe("default"), make_sentencepiece()):
        document = read(metadata)["plugins"]["mypt-bpe"]["tokenizer"]
        tokenizers.Tokenizer.from_str(json.dumps(document))
