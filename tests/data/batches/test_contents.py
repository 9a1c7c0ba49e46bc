"""What a loader is made of: texts, a text to validate on, and mixtures of other loaders."""

import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.text import InputText
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import ConfigError, DataError


@pytest.fixture
def tokenizer(plugins, text):
    return plugins.tokenizer("char").train(text)


@pytest.fixture
def make(tokenizer):
    config = GPTConfig(block_size=8, batch_size=4, vocab_size=tokenizer.n_vocab)
    return lambda **given: GPTDataLoader(config, tokenizer, **given)


def test_all_of_a_text_is_trained_on_where_another_is_validated_on(make, text, tokenizer):
    loader = make(text=text[:500], val_text=InputText((text[700:900],), "other.txt"))
    assert (loader.train_tokens, loader.val_tokens) == (500, 200)
    assert loader.fingerprint.source == "the text, validated on other.txt"
    ids = tokenizer.encode(text[700:900])
    assert [int(i) for chunk in loader.splits["val"].chunks() for i in chunk] == ids


def test_either_text_decides_the_fingerprint(make, text):
    plain = make(text=text[:500], val_text=text[700:900]).fingerprint.sha256
    assert make(text=text[:500], val_text=text[700:900]).fingerprint.sha256 == plain
    assert make(text=text[:501], val_text=text[700:900]).fingerprint.sha256 != plain
    assert make(text=text[:500], val_text=text[700:901]).fingerprint.sha256 != plain


@pytest.mark.parametrize(
    ("val_text", "message"),
    [
        ("the cat", "other.txt.* 9 contiguous"),
        ("the café is here", "other.txt line 1, column 7: the vocabulary"),
    ],
)
def test_what_is_wrong_with_the_text_to_validate_on_names_it(make, text, val_text, message):
    with pytest.raises(DataError, match=message):
        make(text=text[:500], val_text=InputText((val_text,), "other.txt"))


def test_a_mixture_draws_from_its_loaders_in_both_splits(make, text):
    parts = [make(text=t, source=name) for name, t in (("a", text[:800]), ("b", text[800:1200]))]
    loader = make(mixture=[(parts[0], 3), (parts[1], 1)])
    assert loader.train_tokens == 720 + 360
    assert loader.val_tokens == 80 + 40
    assert loader.fingerprint.source == "a mixture of a (0.75), b (0.25)"
    batch = loader.train_batch(1, 0, 0)
    assert batch.x.shape == (4, 8)
    assert loader.eval_batch("val", 1, 0).x.shape == (4, 8)
    rows = loader.train_batch(1, 0, 0, rows=slice(2, 4))
    assert (rows.x == batch.x[2:]).all()


@pytest.mark.parametrize("sampling", ["random", "epoch"])
def test_the_order_of_a_mixture_and_the_names_do_not_matter_but_the_shares_do(make, text, sampling):
    a, b = make(text=text[:800]), make(text=text[800:1200], source="else")
    loader, turned, other = (
        make(mixture=pairs, sampling=sampling)
        for pairs in ([(a, 3), (b, 1)], [(b, 0.25), (a, 0.75)], [(a, 1), (b, 1)])
    )
    assert loader.fingerprint.sha256 == turned.fingerprint.sha256
    assert loader.fingerprint.sha256 != other.fingerprint.sha256
    for step in range(3):
        assert (loader.train_batch(1, step, 0).x == turned.train_batch(1, step, 0).x).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "a", "mixture": "one"}, "text: is given together with mixture"),
        ({"mixture": []}, "text: is missing"),
        ({"mixture": "one", "val_text": "a"}, "val_text: .*loaders of the mixture"),
        ({"text": "a" * 90, "val_text": "a" * 90, "eval_only": True}, "eval_only: is given"),
        ({"mixture": [("one", 1)]}, "mixture"),
        ({"mixture": "zero"}, "mixture"),
        ({"mixture": "eval"}, "mixture/1: has nothing to train on"),
        ({"mixture": "other"}, "mixture/0: has another block_size"),
    ],
)
def test_what_cannot_be_is_refused(make, text, tokenizer, given, message):
    one = make(text=text)
    longer = GPTConfig(block_size=9, batch_size=4, vocab_size=tokenizer.n_vocab)
    mixtures = {
        "one": [(one, 1)],
        "zero": [(one, 0)],
        "eval": [(one, 1), (make(text=text, eval_only=True), 1)],
        "other": [(GPTDataLoader(longer, tokenizer, text=text), 1)],
    }
    if isinstance(given.get("mixture"), str):
        given = {**given, "mixture": mixtures[given["mixture"]]}
    with pytest.raises(ConfigError, match=message):
        make(**given)
