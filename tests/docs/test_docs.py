"""Every command and every Python example of the docs is run, on a small text and for few steps."""

import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import groupby
from operator import itemgetter

import pytest

from tests.support.processes.command import Command
from tests.support.processes.ranks import ranks

BLOCK = re.compile(r"^```(sh|python|output)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FEWER = 250
EACH = "import runpy, sys; [runpy.run_path(name, run_name='__main__') for name in sys.argv[1:]]"
PRESET = "configs/tiny.json"


def pages(root):
    return sorted(
        path.relative_to(root).as_posix()
        for path in [root / "README.md", *(root / "docs").rglob("*.md")]
        if BLOCK.search(path.read_text(encoding="utf-8"))
    )


def pytest_generate_tests(metafunc):
    if "page" in metafunc.fixturenames:
        from pathlib import Path

        metafunc.parametrize("page", pages(Path(__file__).resolve().parents[2]))


def shortened(words):
    """Divide the steps, and evaluate on one batch: the commands stay, the waiting goes."""
    if words[0] != "mypt" or words[1] != "train":
        return words
    words = [
        str(max(2, int(word) // FEWER)) if before == "--max_iters" else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    steps = [] if "--max_iters" in words else ["--max_iters", "2"]
    return [*words, *steps, "--eval_iters", "1", "--batch_size", "2", "--device", "cpu"]


def run(words, cwd):
    if words[0] == "mypt":
        command = Command(*shortened(words)[1:], cwd=cwd)
        said, code = command.wait(), command.code
    elif words[0] == "torchrun":
        said, code = run_ranks(words, cwd)
    else:
        said, code = run_outside(words, cwd)
    assert code == 0, f"{shlex.join(words)}\n{said}"
    return said


def run_ranks(words, cwd):
    """Run what `torchrun` would; `test_processes.py` runs it, which takes many seconds itself."""
    launch, words = words[:3], words[3:]
    assert launch == ["torchrun", "--nproc-per-node=2", "-m"]
    command = shortened(words)[1:]
    processes = [Command(*command, cwd=cwd, env=variables) for variables in ranks(2)]
    said = "".join([process.wait() for process in processes])
    return said, max(process.code for process in processes)


def run_outside(words, cwd):
    """Run another program than `mypt`; give what it said, and its exit code."""
    assert words[0] == "python"
    command, strict = [sys.executable, *words[1:]], {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=strict)
    return done.stdout + done.stderr, done.returncode


@pytest.fixture
def folder(tmp_path, text, root, monkeypatch):
    """Make a folder as a reader has it, with a preset that trains in no time."""
    monkeypatch.setenv("COLUMNS", load_writer(root, "write_outputs").WIDTH)
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nothing is asked in `mypt chat`
    letters = "TheInDear Nel mezzo\n" * 3 + "User: What comes after 7? Assistant: 8, of course.\n"
    (tmp_path / "input.txt").write_text(text[:8000] + letters)
    notes = (json.dumps({"body": line}) + "\n" for line in text[:8000].splitlines())
    choice = {"prompt": "In the ", "continuation": ["mezzo", "In"]}
    (tmp_path / "choices.jsonl").write_text(json.dumps(choice) + "\n")
    (tmp_path / "notes.jsonl").write_text("".join(notes))
    for name, part in (("inferno", text[:5000]), ("paradiso", text[5000:])):
        (tmp_path / f"{name}.txt").write_text(part)
    (tmp_path / "configs").mkdir()
    preset = json.loads((root / PRESET).read_text(encoding="utf-8"))
    (tmp_path / PRESET).write_text(json.dumps({**preset, "batch_size": 2, "n_embd": 32}))
    return tmp_path


def run_examples(blocks, folder):
    """Run Python examples in one process, each by itself: most of their time is torch's import."""
    names = [f"example_{number}.py" for number in range(len(blocks))]
    for name, block in zip(names, blocks, strict=True):
        (folder / name).write_text(block, encoding="utf-8")
    run(["python", "-c", EACH, *names], folder)


def test_the_examples_of_a_page_run_and_print_what_it_quotes(page, root, folder):
    outputs = load_writer(root, "write_outputs")
    found = BLOCK.findall((root / page).read_text(encoding="utf-8"))
    printed = ""
    for kind, together in groupby(found, key=itemgetter(0)):
        blocks = [block for _, block in together]
        if kind == "python":
            run_examples(blocks, folder)
        elif kind == "output":
            outputs.fill(*blocks, printed)
        else:
            for block in blocks:
                printed = "".join(run(words, folder) for words in outputs.commands(block))


def test_the_page_on_data_shows_what_is_printed_of_its_conversations(root, folder):
    """In the test command, which leaves out the page as a whole: it is slow."""
    page = (root / "docs" / "how-to" / "data.md").read_text(encoding="utf-8")
    run_examples([re.search(r"^```python\n(.*?)^```$", page, re.M | re.S)[1]], folder)
    shown = re.search(r"^```\n(chats: episodes.*?)^```$", page, re.M | re.S)[1]
    train, prepare, inspect = (
        re.search(f"^{begin}.*$", page, re.M)[0]
        for begin in ("mypt train --model_name base", "mypt data chats", "mypt data inspect chats")
    )
    run(shlex.split(train), folder)
    run(shlex.split(prepare), folder)
    assert run(shlex.split(inspect), folder) == shown


def test_a_quoted_line_must_have_been_printed_and_gets_the_figures_of_the_run(root):
    outputs = load_writer(root, "write_outputs")
    quoted = "step 2/5 | 31s | ETA 4s\n...\n  val 1.9\n"
    printed = "step 4/9 | 1m 2s | ETA ?\nSaved.\n  val 2.25e-03\n"
    assert outputs.fill(quoted, printed) == "step 4/9 | 1m 2s | ETA ?\n...\n  val 2.25e-03\n"
    for changed in ("step 2/5\n", "  val 1.9\nstep 2/5 | 31s | ETA 4s\n", "  loss 1.9\n"):
        with pytest.raises(ValueError, match="not printed"):
            outputs.fill(changed, printed)


def test_an_example_that_needs_more_than_is_installed_is_at_least_python(root):
    """Those of a block `py`; the ones of a block `python` are run."""
    found = [
        block
        for path in (root / "docs").rglob("*.md")
        for block in re.findall(r"^```py\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)
    ]
    assert found
    for block in found:
        compile(block, "example", "exec")


def load_writer(root, name):
    spec = importlib.util.spec_from_file_location(name, root / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands", "bundle", "names"])
def test_a_generated_page_is_up_to_date(root, name):
    written = (root / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    page = load_writer(root, f"write_{name}").page()
    assert written == page, f"run: python docs/write_{name}.py"


def test_the_readme_is_read_in_minutes(root):
    assert len((root / "README.md").read_text("utf-8").splitlines()) < 120


def test_what_is_written_by_hand_is_as_long_as_its_page_says(root):
    """Within a fifth; and mypt has as many dependencies as the page says."""
    page = (root / "docs" / "explanation" / "by-hand.md").read_text(encoding="utf-8")
    found = re.findall(r"`([\w/]+\.py)` \((\d+) lines\)", page)
    assert len(found) == 8
    for name, said in found:
        place = root / (name if "/" in name else f"mypt/plotting/{name}")
        assert len(place.read_text("utf-8").splitlines()) == pytest.approx(int(said), rel=0.2), name
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(project["dependencies"]) == 10
    assert "mypt depends on ten packages" in page


def test_every_hook_is_in_the_reference(root):
    from mypt.plugins import hookspecs

    page = (root / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
    hooks = [name for name in vars(hookspecs) if name.startswith("mypt_")]
    assert hooks
    for name in hooks:
        assert f"`{name}`" in page, name


def test_every_field_of_the_bundle_is_in_the_reference(root):
    import attrs

    from mypt.format.documents import config, manifest, tokenizer, training
    from mypt.format.documents.convert import field_names

    page = (root / "docs" / "reference" / "bundle.md").read_text(encoding="utf-8")
    modules = config, manifest, tokenizer, training
    classes = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    fields = {name for cls in filter(attrs.has, classes) for name in field_names(cls)}
    assert {"n_layer", "sha256", "token_kind", "step"} <= fields
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []
