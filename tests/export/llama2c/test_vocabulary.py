import pytest

import mypt
from mypt.api.export import export_model
from mypt.export.llama2c.vocabulary import pack_vocabulary
from mypt.format.readers.tokenizers.llama2c_vocabulary import read_llama2c_vocabulary
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.char import CharTokenizer
from tests.support.paths import FIXTURES

PLUGINS = load_plugins()
FOLDER = FIXTURES / "neighbours" / "llama2c_mha"


def split_texts(held, text):
    """Give the pieces of a text as `run.c` finds them: the best pair first."""
    texts = [piece.replace("\u2581", " ") for piece in held.pieces]
    ids, scores = {text: number for number, text in enumerate(texts)}, held.scores
    found = [ids[" "]]
    for char in text:
        known = ids.get(char)
        found += [byte + 3 for byte in char.encode()] if known is None else [known]
    while True:
        pairs = [
            (-scores[made], place, made)
            for place in range(len(found) - 1)
            for made in [ids.get(texts[found[place]] + texts[found[place + 1]])]
            if made is not None and scores[made] > -1e10
        ]
        if not pairs:
            return found
        _, place, made = min(pairs)
        found[place : place + 2] = [made]


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no checkpoints of neighbours beside this")
@pytest.mark.parametrize("text", ["Once upon a time, 1 llama", "🔥 é\nhttps://x", "", "a  b"])
def test_texts_are_split_as_with_the_vocabulary_of_llama2c(tmp_path, text):
    notes = export_model(FOLDER / "ckpt.pt", "llama2c", tmp_path / "out", plugins=PLUGINS)
    assert notes == []
    theirs, ours = FOLDER / "tok512.bin", tmp_path / "out" / "tokenizer.bin"
    one, other = (read_llama2c_vocabulary(path, path.name) for path in (theirs, ours))
    assert (one.pieces, one.types) == (other.pieces, other.types)
    assert split_texts(one, text) == split_texts(other, text)


def test_a_vocabulary_that_run_c_reads_otherwise_comes_with_a_warning(tmp_path):
    config = mypt.GPTConfig(
        block_size=8,
        vocab_size=7,
        n_embd=8,
        n_head=2,
        n_layer=1,
        pos_encoding="rope",
        norm_type="rmsnorm",
        mlp_type="swiglu",
        norm_eps=1e-5,
        head_bias=False,
    )
    model = mypt.GPT(config, plugins=PLUGINS, tokenizer=CharTokenizer("ab\u00e9\n\0"))
    model.save(tmp_path / "model")
    notes = export_model(tmp_path / "model", "llama2c", tmp_path / "out", plugins=PLUGINS)
    assert any("begins each text with the id 1 and a space" in n and "'b'" in n for n in notes)
    held = (tmp_path / "out" / "tokenizer.bin").read_bytes()
    texts = [b"a", b"b", "\u00e9".encode(), b"\n", b"<0x00>", b"<0x00>", b"<0x00>"]
    scores = [-0.0, -1.0, -2.0, -3.0, -4.0, -1e10, -1e10]
    assert held == pack_vocabulary([*zip(scores, texts, strict=True)])
