import numpy as np
import pytest
from mypt_nanochat.tokenizer.vocabulary import BOS, PACKAGE, SPECIAL_TOKENS, Vocabulary

import mypt
from mypt.plugins import ConfigError, DataError, FormatError
from mypt.plugins.manager import load_plugins
from mypt.testing import check_tokenizer

TEXT = "the cat sat on the mat, and the cat ate the rat.\n  12345 the café — 你好 👩\n\n" * 5


@pytest.fixture(scope="module")
def factory():
    """The tokenizer as an installed plugin offers it: through its entry point."""
    return load_plugins().tokenizer("nanochat")


@pytest.fixture
def section(factory):
    return dict(factory.trained_on([TEXT], {"vocab_size": 280}).state()["plugins"][PACKAGE])


def test_it_does_what_a_tokenizer_must(factory):
    check_tokenizer(factory)
    check_tokenizer(factory, TEXT, {"vocab_size": 290})


def test_the_vocabulary_is_as_large_as_asked(factory):
    tokenizer = factory.trained_on([TEXT], {"vocab_size": 280})
    assert tokenizer.n_vocab == tokenizer.vocab_size == 280
    with pytest.raises(ConfigError, match="vocab_size"):
        factory.trained_on([TEXT], {"vocab_size": 10})
    with pytest.raises(DataError, match="there is no text"):
        factory.trained_on([""])


def test_what_is_frequent_is_one_token(factory):
    tokenizer = factory.trained_on([TEXT])
    assert [tokenizer.decode([number]) for number in tokenizer.encode("the cat")] == ["the", " cat"]


def test_pairs_are_merged_by_number_and_then_by_the_lower_ids(factory):
    tokenizer = factory.trained_on(["abab abab cd cd cd abab"], {"vocab_size": 256 + 9 + 4})
    assert [tokenizer.decode([number]) for number in range(256, 260)] == ["ab", " c", "abab", " cd"]


def test_at_most_two_digits_are_one_token(factory):
    tokenizer = factory.trained_on(["1234 " * 50])
    assert [tokenizer.decode([number]) for number in tokenizer.encode("1234")] == ["12", "34"]


def test_ids_are_those_of_tiktoken(factory, encoding):
    tokens = tuple(encoding.decode_single_token_bytes(number) for number in range(291))
    special = {text: encoding.encode_single_token(text) for text in SPECIAL_TOKENS}
    section = Vocabulary(encoding._pat_str, tokens, special).to_section()
    tokenizer = factory.build({"token_kind": "nanochat", "plugins": {PACKAGE: section}})
    text = f"{BOS}<|user_start|>Hi, it's 1999!\n\n 你好<|user_end|>  {TEXT}"
    wanted = encoding.encode(text, allowed_special="all")
    assert tokenizer.encode(text) == wanted
    assert len(wanted) > 3
    assert tokenizer.decode(wanted) == text


def test_a_long_text_is_encoded_in_pieces(factory, monkeypatch):
    tokenizer = factory.trained_on([TEXT])
    whole = tokenizer.encode(TEXT)
    monkeypatch.setattr("mypt_nanochat.tokenizer.tiktoken_tokenizer._CHUNK", 7)
    assert np.array_equal(tokenizer.encode_array(TEXT), whole)


def test_a_text_is_cut_where_it_is_certain_that_a_piece_ends(factory, section):
    tokenizer = factory.trained_on([TEXT])
    text = "it's done!\n\n no more"
    assert text[: tokenizer.cut(text, 1)] == "it's"
    assert text[: tokenizer.cut(text, 5)] == text[:-5]  # line ends belong to the mark before them
    section["pattern"] = r"\p{L}+|[^\p{L}]+"
    other = factory.build({"token_kind": "nanochat", "plugins": {PACKAGE: section}})
    assert other.cut(text, 1) is None


def test_its_tokens_have_the_roles_that_nanochat_gives_them(factory):
    state = factory.trained_on([TEXT]).state()
    ids = state["plugins"][PACKAGE]["special_tokens"]
    assert state["add_bos"]
    assert state["special_tokens"] == {
        "bos": [ids["<|bos|>"]],
        "eos": [ids["<|bos|>"], ids["<|assistant_end|>"]],
        "turn_end": [ids["<|user_end|>"], ids["<|assistant_end|>"]],
    }


def test_the_chat_template_renders_as_nanochat_does(factory):
    jinja = pytest.importorskip("jinja2")
    template = jinja.Template(factory.trained_on([TEXT]).state()["chat_template"])
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "2 + 2")]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|bos|><|user_start|>Be brief.\n\nHi<|user_end|><|assistant_start|>Yes?<|assistant_end|>"
        "<|user_start|>2 + 2<|user_end|><|assistant_start|>"
    )


DAMAGE = {
    "/pattern: is not a regular expression that tiktoken knows": {"pattern": "(a"},
    "/tokens: are not base64": {"tokens": "AA== ?"},
    "/tokens: lack 255 of the 256 single bytes": {"tokens": "AA=="},
    "/tokens: have the same bytes twice": {"tokens": "AA== AA=="},
    "/special_tokens: have ids that are taken": {"special_tokens": {BOS: 3}},
}


@pytest.mark.parametrize("said", DAMAGE)
def test_a_damaged_section_is_named(factory, section, said):
    state = {"token_kind": "nanochat", "plugins": {PACKAGE: section | DAMAGE[said]}}
    with pytest.raises(FormatError) as raised:
        factory.build(state)
    assert f"/plugins/mypt-nanochat{said}" in str(raised.value)


def test_validation_checks_the_section(factory, run_mypt, tmp_path):
    tokenizer = factory.trained_on([TEXT], {"vocab_size": 280})
    mypt.GPT(
        mypt.GPTConfig(vocab_size=280, n_layer=1, n_head=2, n_embd=8, block_size=8),
        tokenizer=tokenizer,
    ).save(tmp_path / "model")
    code, out, said = run_mypt("format", "validate", tmp_path / "model")
    assert code == 0, out + said
    path = tmp_path / "model" / "tokenizer.json"
    path.write_text(path.read_text().replace('"pattern"', '"patern"'))
    code, out, said = run_mypt("format", "validate", tmp_path / "model")
    assert code == 1
    assert "/plugins/mypt-nanochat" in out + said
