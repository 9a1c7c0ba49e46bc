import io
import random
from pathlib import Path

import pytest

from tests.support.paths import ROOT

NASTY = [
    "",
    " ",
    "   ",
    "a",
    " a",
    "a ",
    "a  b",
    "\n",
    "\t",
    "\r\n",
    "\0",
    "▁",
    "▁a ▁",
    "the cat's  12345\n\n\tindented, isn't it?  ",
    "café e\u0301 A\u030a naïve Ünï",
    "你好世界 🌍🌍 \U0001f468\u200d\U0001f469",
    "\ufb01 \u2460 \u3000 \u1100\u1161 \xa0x",
]
ALPHABET = [*"abcdefghnorst  \n\t.,013é你①ﬁ🌍▁", "the ", "  ", "aaa", "\u1100\u1161", "e\u0301"]


@pytest.fixture(scope="session")
def texts():
    chosen = random.Random(0)
    made = ["".join(chosen.choices(ALPHABET, k=chosen.randint(1, 25))) for _ in range(300)]
    return [*NASTY, *made]


@pytest.fixture(scope="session")
def lines():
    text = (ROOT / "README.md").read_text("utf-8") + "\ncafé naïve 你好 世界 ﬁ ① 🌍\n" * 20
    return text.split("\n")


@pytest.fixture(scope="session")
def train(lines):
    """Return a function that trains a model of sentencepiece and returns its bytes."""
    spm = pytest.importorskip("sentencepiece")

    def train(kind, **options):
        written = io.BytesIO()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type=kind,
            vocab_size=600,
            hard_vocab_limit=False,
            minloglevel=2,
            num_threads=1,
            **options,
        )
        return written.getvalue()

    return train


@pytest.fixture
def write(tmp_path):
    def write(data, name="tokenizer.model"):
        path = Path(tmp_path / name)
        path.write_bytes(data)
        return path

    return write
