import subprocess
import sys

import pytest

from mypt.plugins.manager import load_plugins


@pytest.fixture(scope="module")
def offered():
    return load_plugins().tokenizers


def test_characters_and_gpt2_are_registered(offered):
    assert {"char", "gpt2"} <= set(offered)


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_a_trained_tokenizer_is_rebuilt_by_its_factory(offered, kind):
    text = "Nel mezzo del cammin\n"
    tokenizer = offered[kind].train(text)
    again = offered[kind].build(tokenizer.state())
    assert again == tokenizer
    assert again.token_kind == tokenizer.state()["token_kind"] == kind
    assert again.decode(tokenizer.encode(text)) == text


def test_registering_imports_nothing_heavy():
    program = (
        "import sys; from mypt.tokenizers.plugin import mypt_tokenizers; mypt_tokenizers();"
        "print({'numpy', 'tiktoken', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
