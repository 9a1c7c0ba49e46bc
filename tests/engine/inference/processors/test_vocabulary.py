from mypt.engine.inference.processors.vocabulary import KeepLast, Vocabulary
from mypt.plugins.manager import load_plugins
from tests.support.pieces_tokenizer import END, PIECES


def test_a_vocabulary_has_the_bytes_of_each_token_and_knows_its_special_ones(pieces):
    vocabulary = Vocabulary.of(pieces.tokenizer)
    assert vocabulary.tokens[-len(PIECES) - 1 :] == (*PIECES, END)
    assert vocabulary.special == {pieces.tokenizer.end}


def test_the_special_tokens_of_gpt2_are_known(monkeypatch):
    tokenizer = load_plugins().tokenizer("gpt2").build({"token_kind": "gpt2"})
    vocabulary = Vocabulary.of(tokenizer)
    assert vocabulary.special == {50256}
    assert b"".join(vocabulary.tokens[i] for i in tokenizer.encode("the né")) == "the né".encode()


def test_the_last_result_is_kept_for_the_same_object_alone():
    made = []
    keep = KeepLast(lambda given: made.append(given) or len(made))
    one, other = [1], [1]
    assert [keep.of(one), keep.of(one), keep.of(other), keep.of(one)] == [1, 1, 2, 3]
