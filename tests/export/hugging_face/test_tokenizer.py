"""Exported tokenizers give the same ids and texts in the real `transformers`."""

import json
import shutil

import numpy as np
import pytest
from attrs import frozen

import mypt
from mypt.api.export import export_model
from mypt.export.hugging_face.tokenizer import make_documents
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.migrate import Migrator
from mypt.plugins import TokenizerFactory, hookimpl
from mypt.plugins.manager import load_plugins
from mypt.testing import registered

PLUGINS = load_plugins()
SIZES = {"block_size": 16, "n_embd": 8, "n_head": 1, "n_layer": 1, "head_bias": False}
TEXT = "Hello  world!\n\n\tdon't I'M 12345 café 你好 \U0001f30d <|endoftext|> \r\n  trailing  "
FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
END = {"<|endoftext|>": 50256}


@pytest.fixture
def export(tmp_path):
    def call(source):
        notes = export_model(source, "hf", tmp_path / "hf", plugins=PLUGINS)
        return tmp_path / "hf", notes

    return call


def save(folder, tokenizer):
    config = mypt.GPTConfig(**SIZES, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer, plugins=PLUGINS).save(folder)
    return folder


def ensure_equal(theirs, ours, texts, begin=()):
    for text in texts:
        ids = ours.encode(text)
        assert theirs.encode(text, add_special_tokens=False) == ids
        assert theirs.decode(ids) == ours.decode(ids)
        assert theirs.encode(text) == [*begin, *ids]
    assert max(theirs.get_vocab().values()) < ours.n_vocab


@pytest.mark.parametrize(
    ("kind", "special", "eos"),
    [
        ("char", None, None),
        ("gpt2", {}, None),
        ("gpt2", {**END, "<user>": 50257}, "<|endoftext|>"),
        ("bpe", None, None),
    ],
)
def test_auto_tokenizer_gives_the_ids_and_texts_of_mypt(
    transformers, export, tmp_path, kind, special, eos
):
    factory = PLUGINS.tokenizer(kind)
    ours = factory.trained_on([TEXT * 3])
    if special is not None:
        ours = factory.build({"token_kind": kind, "special_token_encoder": special})
    folder, notes = export(save(tmp_path / "model", ours))
    assert not notes
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ensure_equal(theirs, ours, [TEXT, "", "  ", "\r\n", "Hello"])
    assert theirs.eos_token == eos
    ends = transformers.GenerationConfig.from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    wanted = 50256 if kind == "gpt2" else None
    assert {ends.eos_token_id, config["eos_token_id"], ends.bos_token_id} == {wanted}
    transformers.AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_a_class_with_rules_of_its_own_is_not_chosen_for_other_ones(
    transformers, export, tmp_path, kind
):
    """`AutoTokenizer` splits every text of a Qwen 2 folder as Qwen 2 does."""
    ours = PLUGINS.tokenizer(kind).trained_on([TEXT * 3])
    llama = {"pos_encoding": "rope", "norm_type": "rmsnorm", "mlp_type": "swiglu"}
    config = mypt.GPTConfig(**SIZES, **llama, qkv_bias=True, vocab_size=ours.vocab_size)
    mypt.GPT(config, ours, plugins=PLUGINS).save(tmp_path / "model")
    folder, notes = export(tmp_path / "model")
    assert not notes
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ensure_equal(theirs, ours, [TEXT, "\n    12345"] if kind == "gpt2" else [TEXT])
    assert mypt.load(folder, plugins=PLUGINS).config == config


FOLDERS = [
    *(f"neighbours/{name}" for name in ("tok_added", "tok_llama_like", "tok_wordpiece")),
    "foreign/hf_gpt2",
]


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("through_a_bundle", [False, True])
def test_documents_that_came_with_a_model_are_written_byte_for_byte(
    transformers, fixtures, export, tmp_path, name, through_a_bundle
):
    given = source = fixtures / name
    if through_a_bundle:
        source = tmp_path / "model"
        mypt.load(given).save(source)
    folder, notes = export(source)
    assert not notes
    for file in FILES:
        assert (folder / file).read_bytes() == (given / file).read_bytes(), file
    config = json.loads((given / "config.json").read_text())
    exported = json.loads((folder / "config.json").read_text())
    for end in ("bos_token_id", "eos_token_id"):
        assert exported[end] == config[end]
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    model = mypt.load(source)
    texts = ["Hello world", "the cat", " a  b"]
    ensure_equal(theirs, model.tokenizer, texts, model.begin_ids)


def test_a_token_without_a_row_is_not_invented_again(transformers, fixtures, export):
    source = fixtures / "neighbours" / "tok_pad_beyond"
    folder, notes = export(source)
    assert "pad_token, '[PAD]', is left out: the model has no such token" in notes
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ensure_equal(theirs, mypt.load(source).tokenizer, ["Hello world [PAD]"])


def test_a_folder_without_a_config_of_its_tokenizer_gets_one(
    transformers, fixtures, export, tmp_path
):
    source = shutil.copytree(
        fixtures / "neighbours" / "tok_added", tmp_path / "copy", copy_function=shutil.copyfile
    )
    source.chmod(0o700)
    for file in FILES[1:]:
        (source / file).unlink()
    folder, _ = export(source)
    made = json.loads((folder / "tokenizer_config.json").read_text())
    assert made["model_max_length"] == 256
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == 0
    ensure_equal(
        transformers.AutoTokenizer.from_pretrained(folder),
        mypt.load(source).tokenizer,
        [TEXT, "<|endoftext|>x"],
    )


def make(state, plugins=PLUGINS):
    document = from_document(TokenizerState, state) if state else None
    return make_documents(
        document, 16, lambda: plugins.tokenizer(document.token_kind).build(to_document(document))
    )


def test_a_tokenizer_that_requires_a_later_version_is_left_out_with_the_reason():
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": []}
    state = {
        "format_version": "2.1",
        "token_kind": "bpe",
        "plugins": {"mypt-bpe": {"tokenizer": tokenizer}},
        "requires": ["plugin/mypt-bpe"],
    }
    assert "tokenizer" in make(state)[0]
    documents, notes = make(state | {"requires": ["plugin/mypt-bpe", "folding"]})
    assert "tokenizer" not in documents
    (note,) = notes
    assert (
        'has no tokenizer: tokenizer.json#/requires/1: is "folding", a feature of format 2.1'
        in note
    )


def test_code_and_unknown_tokens_of_a_config_are_left_out():
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": []}
    config = {
        "auto_map": {"AutoTokenizer": ["x.py", None]},
        "tokenizer_class": "Own",
        "bos_token": {"content": "a"},
        "eos_token": "<none>",
        "unk_token": None,
        "extra_special_tokens": ["a", "b"],
        "added_tokens_decoder": {"0": {"content": "a"}, "9": {"content": "b"}},
    }
    state = {"token_kind": "bpe", "plugins": {"mypt-bpe": {"tokenizer": tokenizer}}}
    documents, notes = make({**state, "hugging_face": {"tokenizer_config": config}})
    assert documents["tokenizer_config"] == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": {"content": "a"},
        "unk_token": None,
        "extra_special_tokens": ["a"],
        "added_tokens_decoder": {"0": {"content": "a"}},
    }
    assert documents["generation_config"] == {"bos_token_id": 0, "eos_token_id": None}
    assert len(notes) == 2


def test_a_document_that_a_later_version_keeps_is_not_written():
    later = {"special_tokens_map": {"eos_token": "b"}, "config": {}, "tokenizer": {}}
    documents, _ = make({"token_kind": "char", "chars": ["a", "b"], "hugging_face": later})
    plain, _ = make({"token_kind": "char", "chars": ["a", "b"]})
    assert documents == plain


@frozen
class Bytes:
    """A tokenizer of a plugin that does not say how Hugging Face's would be."""

    token_kind = "bytes"
    n_vocab = vocab_size = 256

    def encode(self, text):
        return list(text.encode())

    def encode_array(self, text):
        return np.frombuffer(text.encode(), np.uint8).astype(np.uint32)

    def decode(self, ids):
        return bytes(ids).decode()

    def decode_bytes(self, ids):
        return bytes(ids)

    def state(self):
        return {"token_kind": "bytes"}


@frozen
class ExportedBytes(Bytes):
    """One that does."""

    def to_hugging_face(self):
        vocab = {"a": 0, "</s>": 1}
        return {
            "tokenizer": {"model": {"type": "WordLevel", "vocab": vocab}},
            "tokenizer_config": {"eos_token": "</s>"},
        }


def with_tokenizer(tokenizer):
    class Plugin:
        @staticmethod
        @hookimpl
        def mypt_tokenizers():
            return [TokenizerFactory("bytes", build=lambda _: tokenizer, train=lambda _: None)]

    return registered(Plugin)


@pytest.mark.parametrize(
    ("state", "plugins", "why"),
    [
        ({"token_kind": "bytes"}, with_tokenizer(Bytes()), "bytes has no form of Hugging Face's"),
        ({"token_kind": "gone"}, PLUGINS, "gone"),
        ({"token_kind": "char", "chars": ["\ud800"]}, PLUGINS, "U+D800"),
    ],
)
def test_a_folder_without_a_tokenizer_says_why(state, plugins, why):
    documents, (note,) = make(state, plugins)
    assert list(documents) == ["generation_config"]
    assert note.startswith("the folder has no tokenizer: ")
    assert why in note


def test_a_model_without_a_tokenizer_has_ends_that_are_not_known():
    ends = {"bos_token_id": None, "eos_token_id": None}
    assert make(None) == ({"generation_config": ends}, [])


def test_a_plugins_tokenizer_says_how_it_is_written():
    documents, notes = make({"token_kind": "bytes"}, with_tokenizer(ExportedBytes()))
    assert not notes
    assert documents["tokenizer"]["model"]["vocab"] == {"a": 0, "</s>": 1}
    assert documents["tokenizer_config"]["eos_token"] == "</s>"
    assert documents["tokenizer_config"]["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert documents["generation_config"] == {"bos_token_id": None, "eos_token_id": 1}


def test_a_migrated_model_keeps_the_documents(fixtures, export, tmp_path):
    source = fixtures / "neighbours" / "tok_llama_like"
    migrator = Migrator(readers=tuple(PLUGINS.readers.values()), written_by="mypt test")
    assert migrator.migrate(source, tmp_path / "model").result == "migrated"
    folder, _ = export(tmp_path / "model")
    for file in FILES:
        assert (folder / file).read_bytes() == (source / file).read_bytes(), file
