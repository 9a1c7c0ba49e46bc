from mypt.chat.pieces import Pieces
from mypt.chat.special_text import OrdinaryEncoder
from mypt.plugins.manager import load_plugins

GPT2 = load_plugins().tokenizer("gpt2").build({})
SPECIAL, END = {"<|endoftext|>": 50256}, "\ue000"
PIECES = Pieces(OrdinaryEncoder.of(GPT2, SPECIAL), SPECIAL, {END: "<|endoftext|>"})


def test_a_character_becomes_its_token_and_what_spells_it_does_not():
    text = f"Hi{END}<|endoftext|>"
    ids, places = PIECES.encode(text, ())
    assert ids.count(50256) == 1
    assert GPT2.decode(ids) == "Hi<|endoftext|><|endoftext|>" == PIECES.spell(text)
    assert places == [(0, 0), (2, 1), (3, 2), (len(text), len(ids))]


def test_no_id_reaches_over_a_cut():
    whole, _ = PIECES.encode("hello", ())
    ids, places = PIECES.encode("hello", (3,))
    assert len(whole) == 1
    ((_, first), (_, last)) = places[1:]
    assert (GPT2.decode(ids[:first]), GPT2.decode(ids[first:last])) == ("hel", "lo")
