import json
import math
from pathlib import Path

import pytest

import mypt
from mypt.plugins import ConfigError, DataError, FormatError
from mypt.plugins.manager import load_plugins
from mypt.testing import check_tokenizer
from mypt.tokenizers.added_tokens import build_from_state

FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures"
FIXTURE = FIXTURES / "foreign" / "build_llm_custom_bpe"
TEXT = "the cat sat on the mat, and the cat ate the rat.\n  the café — 你好 👩\n\n" * 5


@pytest.fixture(scope="module")
def factory():
    """The tokenizer as an installed plugin offers it: through its entry point."""
    return load_plugins().tokenizer("bpe")


def test_it_does_what_a_tokenizer_must(factory):
    check_tokenizer(factory)
    check_tokenizer(factory, TEXT, {"vocab_size": 270})


def test_the_vocabulary_is_as_large_as_asked(factory):
    tokenizer = factory.trained_on([TEXT], {"vocab_size": 280})
    assert tokenizer.n_vocab == tokenizer.vocab_size == 280
    with pytest.raises(ConfigError, match="vocab_size"):
        factory.trained_on([TEXT], {"vocab_size": 10})


def test_what_is_frequent_is_one_token(factory):
    tokenizer = factory.trained_on([TEXT])
    assert [tokenizer.decode([number]) for number in tokenizer.encode("the cat")] == ["the", " cat"]


def test_a_long_text_is_encoded_in_pieces_with_the_same_ids(factory):
    tokenizer = factory.trained_on([TEXT])
    long = TEXT * 1000
    whole = tokenizer._inner.encode(long, add_special_tokens=False).ids
    assert tokenizer.encode(long) == whole


def test_an_empty_text_has_no_vocabulary(factory):
    with pytest.raises(DataError, match="no text"):
        factory.trained_on([""])


def test_what_is_no_tokenizer_is_refused(factory):
    state = {"token_kind": "bpe", "plugins": {"mypt-bpe": {"tokenizer": {"model": {"type": "X"}}}}}
    with pytest.raises(FormatError, match="/plugins/mypt-bpe/tokenizer"):
        factory.build(state)


def test_a_model_is_trained_resumed_exactly_and_used(whole_life):
    model = whole_life("--tokenization", "bpe")
    assert model.tokenizer.token_kind == "bpe"
    assert model.config.vocab_size == model.tokenizer.n_vocab


@pytest.fixture
def neighbour():
    if not FIXTURE.is_dir():
        pytest.skip("the checkpoints of other programs are not beside this checkout")
    expected = json.loads((FIXTURE / "expected.json").read_text("utf-8"))
    return mypt.load(FIXTURE / expected["checkpoint_file"]), expected


def test_a_vocabulary_of_the_neighbours_gives_its_ids(neighbour):
    model, expected = neighbour
    assert model.tokenizer.encode(expected["prompt_text"]) == expected["prompt_ids"]
    assert model.tokenizer.decode(expected["greedy_ids"]) == expected["greedy_text"]
    (continued,) = model.generate_many(
        [expected["prompt_text"]], len(expected["greedy_ids"]), temperature=0.0
    )
    assert list(continued.ids) == expected["greedy_ids"]


def test_it_is_kept_whole_in_a_bundle(neighbour, tmp_path):
    model, expected = neighbour
    model.save(tmp_path / "saved")
    again = mypt.load(tmp_path / "saved")
    assert again.tokenizer.encode(expected["prompt_text"]) == expected["prompt_ids"]
    kept = json.loads((tmp_path / "saved" / "tokenizer.json").read_text("utf-8"))
    given = json.loads((FIXTURE / "tokenizer.json").read_text("utf-8"))
    assert kept["plugins"]["mypt-bpe"]["tokenizer"] == given


@pytest.mark.parametrize("decoder", ["metaspace", "byte_fallback"])
def test_tokens_decoded_one_at_a_time_are_those_of_the_library(factory, decoder):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", byte_fallback=True))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = tokenizers.trainers.BpeTrainer(
        special_tokens=special[: 257 if decoder == "byte_fallback" else 1], show_progress=False
    )
    made.train_from_iterator(["the cat sat on the mat"] * 3, trainer)
    held = {"tokenizer": json.loads(made.to_str())}
    tokenizer = factory.build({"token_kind": "bpe", "plugins": {"mypt-bpe": held}})
    ids = tokenizer.encode("the cat sat")
    assert tokenizer.decode(ids).strip() == "the cat sat"


@pytest.fixture(params=["tok_llama_like", "tok_added", "tok_wordpiece"])
def folder(request):
    """A folder with a `tokenizer.json` and what `transformers` does with it."""
    found = FIXTURES / "neighbours" / request.param
    if not found.is_dir():
        pytest.skip("the checkpoints of other programs are not beside this checkout")
    return found


def test_a_whole_text_is_that_of_transformers(folder):
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    tokenizer = mypt.load(folder).tokenizer
    assert tokenizer.encode(expected["prompt_text"]) == expected["text_ids"]
    assert tokenizer.decode(expected["text_ids"]) == expected["decoded"]


def test_a_whole_text_begins_and_goes_on_as_with_transformers(folder):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    their_model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model = mypt.load(folder)
    for prompt in ("Hello world", "\u4f60 two", "x"):
        ids = theirs(prompt, return_tensors="pt")["input_ids"]
        wanted = their_model.generate(
            ids, attention_mask=ids * 0 + 1, max_new_tokens=20, do_sample=False, pad_token_id=0,
            eos_token_id=-1,
        )[0].tolist()  # fmt: skip
        one = next(model.generate_many([prompt], 20, temperature=0))
        assert [*one.prompt_ids, *one.ids] == wanted
        assert "".join(model.stream(prompt, 20, temperature=0)) == one.text


def test_a_text_is_decoded_one_token_at_a_time_as_a_whole(folder):
    model = mypt.load(folder)
    tokenizer = model.tokenizer
    for text in ("Hello world", "  two spaces", "x caf\u00e9 \u4f60\u597d \U0001f30d", " a"):
        ids = tokenizer.encode(text)
        whole = tokenizer.decode(ids)
        assert model.stream(ids, 0).prompt == whole
        for cut in range(1, len(ids)):
            begun = model.stream(ids[:cut], 0).prompt
            assert whole.startswith(begun), (text, cut)


def test_the_first_words_of_a_text_are_without_the_space_that_joins_words():
    found = FIXTURES / "neighbours" / "tok_llama_like"
    if not found.is_dir():
        pytest.skip("the checkpoints of other programs are not beside this checkout")
    model = mypt.load(found)
    assert model.begin_ids == (1,)
    (hello,) = model.generate_many([[1, *model.tokenizer.encode("Hello world")]], 0)
    assert hello.prompt == "Hello world"
    assert hello.prompt_ids[0] == 1
    assert next(model.generate_many([""], 1)).prompt_ids == (1,)
    score = model.score("Hello world")
    assert score.ids[0] == 1
    bits = sum(score.losses) / math.log(2)
    assert score.bits_per_byte == pytest.approx(bits / len("Hello world"))
    first, *others = (model.tokenizer.decode_bytes([n]) for n in model.tokenizer.encode("Hello"))
    assert b"".join([first, *others]) == b" Hello"


def test_special_tokens_beyond_the_vocabulary_are_found_in_texts_and_never_in_a_user_s(factory):
    plain = factory.trained_on([TEXT], {"vocab_size": 270})
    special = {"<|end|>": 270, "<|user|>": 271}
    tokenizer = factory.build({**plain.state(), "special_token_encoder": special})
    assert tokenizer.state()["special_token_encoder"] == special
    assert factory.build(tokenizer.state()).state() == tokenizer.state()
    assert tokenizer.n_vocab == 272
    text = "the cat<|end|> sat<|user|>"
    read = [*plain.encode("the cat"), 270, *plain.encode(" sat"), 271]
    assert tokenizer.encode(text) == read
    assert tokenizer.encode_ordinary(text).tolist() == plain.encode(text)
    assert tokenizer.decode(read) == tokenizer.decode(plain.encode(text)) == text
    place = tokenizer.cut(text, 3)
    assert tokenizer.encode(text[:place]) + tokenizer.encode(text[place:]) == read


def test_ids_with_gaps_are_left_to_mypt(factory):
    plain = factory.trained_on([TEXT], {"vocab_size": 270})
    state = {**plain.state(), "special_token_encoder": {"<|end|>": 280}}
    assert "special_token_encoder" not in factory.build(state).state()
    tokenizer = build_from_state(state, load_plugins())
    assert tokenizer.encode("the<|end|>") == [*plain.encode("the"), 280]
    assert tokenizer.encode_ordinary("the<|end|>").tolist() == plain.encode("the<|end|>")


def test_a_token_of_the_vocabulary_itself_is_ordinary_text_too(factory):
    held = factory.trained_on([TEXT], {"vocab_size": 270}).state()["plugins"]["mypt-bpe"]
    form = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [{"id": 270, "content": "<s>", **form, "special": True}]
    document = {**held["tokenizer"], "added_tokens": added}
    tokenizer = factory.build({"plugins": {"mypt-bpe": {"tokenizer": document}}})
    assert tokenizer.encode("the<s>")[-1] == 270
    assert 270 not in tokenizer.encode_ordinary("the<s>")
    assert tokenizer.decode(tokenizer.encode_ordinary("the<s>")) == "the<s>"


def test_each_part_of_a_preparation_learns_the_vocabulary_of_all_text(tmp_path):
    from mypt.data.prepare.join import join_parts
    from mypt.data.prepare.part import Part
    from mypt.data.prepare.tokens import Preparation, prepare

    plugins = load_plugins()
    for name, other in (("a", "cat"), ("b", "dog"), ("c", "fox")):
        (tmp_path / f"{name}.txt").write_text(TEXT.replace("cat", other), encoding="utf-8")
    inputs = [str(tmp_path / f"{name}.txt") for name in "abc"]
    sections = {"mypt-bpe": {"vocab_size": 300}}
    folders = [tmp_path / name for name in ("whole", "one", "two")]
    for folder, part in zip(folders, (None, Part(1, 2), Part(2, 2)), strict=True):
        wanted = Preparation(
            inputs=inputs, output=folder, tokenization="bpe", sections=sections, part=part
        )
        assert prepare(wanted, plugins)
    join_parts(folders[1:], tmp_path / "joined")
    names = [path.relative_to(folders[0]) for path in folders[0].rglob("*") if path.is_file()]
    assert len(names) > 3
    for name in names:
        if name.name != "dataset_metadata.json":  # which has times
            assert (tmp_path / "joined" / name).read_bytes() == (folders[0] / name).read_bytes()
