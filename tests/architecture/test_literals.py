"""A name or a number that the format fixes stands once; everything else imports it."""

import ast
from pathlib import Path

import pytest

import mypt

ROOT = Path(mypt.__file__).parent
# Where the literal stands. The other places are of other programs, and only look alike.
HOMES = {
    "2.0": ["format/version.py", "format/migrations/v1_to_v2.py"],
    "lm_head.weight": ["format/layout.py"],
    "token_embedding_table.weight": ["format/layout.py"],
    "position_embedding_table.weight": ["format/layout.py"],
    "model.pt": ["format/storage/files.py"],
    "optimizer.pt": [
        "format/storage/files.py",
        "format/readers/hugging_face/trainer/checkpoint.py",
    ],
    "training_state.json": ["format/storage/files.py"],
    "manifest.json": ["format/storage/files.py"],
    50257: ["format/documents/tokenizer.py"],
    50304: [
        "format/documents/tokenizer.py",
        "format/readers/hugging_face/families/llama_like/olmo.py",
        "format/readers/hugging_face/families/llama_like/stablelm.py",
    ],
    "<|endoftext|>": ["format/documents/special_tokens.py"],
    "<myPT_eot>": ["format/documents/special_tokens.py"],
}


def literals():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant):
                yield node.value, path.relative_to(ROOT).as_posix()


FOUND = [(value, place) for value, place in literals() if value in HOMES]


@pytest.mark.parametrize("literal", HOMES, ids=str)
def test_it_stands_once(literal):
    assert {place for value, place in FOUND if value == literal} == set(HOMES[literal])
