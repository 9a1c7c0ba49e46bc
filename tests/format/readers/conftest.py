"""The checkpoints of other programs, and what has to be told of them."""

import json
import shutil
from pathlib import Path

import pytest
from attrs import frozen

from mypt.plugins.manager import load_plugins
from tests.support.paths import FIXTURES

FOREIGN = FIXTURES / "foreign"
NAMES = (
    "build_llm_char",
    "build_llm_custom_bpe",
    "build_llm_gpt2",
    "build_llm_lora",
    "hf_gpt2",
    "hf_llama_untied",
    "nanogpt_char",
    "nanogpt_compiled",
)
TEXT = "advice_letters.txt"


@frozen
class Case:
    """A fixture: its folder, its checkpoint, what its program computed, what must be told."""

    folder: Path
    path: Path
    expected: dict
    options: dict


def open_case(name, folder=None):
    if not FOREIGN.is_dir():
        pytest.skip("the checkpoints of other programs are not beside this checkout")
    folder = FOREIGN / name if folder is None else folder
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    file = expected.get("checkpoint_file")
    options = {}
    if (folder / TEXT).exists() and "bpe" not in name:
        options["training_text"] = str(folder / TEXT)
    if "lora_alpha" in expected:
        options["lora_alpha"] = expected["lora_alpha"]
    return Case(folder, folder / file if file else folder, expected, options)


@pytest.fixture(params=NAMES)
def case(request):
    return open_case(request.param)


@pytest.fixture
def copy_of(tmp_path):
    """Give a case in a folder of its own, to be spoilt."""

    def make(name):
        open_case(name)
        folder = tmp_path / name
        shutil.copytree(FOREIGN / name, folder)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        return open_case(name, folder)

    return make


@pytest.fixture(scope="session")
def plugins():
    return load_plugins()
