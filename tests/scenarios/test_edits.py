"""An edit of a bundle's documents is said in one sentence, whatever door the bundle comes to."""

import json
import shutil
from pathlib import Path

import pytest

import mypt

OUTPUT = "restore it if that was not meant: the model may now compute something else"
RESUME = "restore it if that was not meant: training would go on from it"
HARMLESS = "no action needed if that was meant: the model computes the same"
EDITS = {
    "n_head": ("config.json", ("n_head",), 4, f"4, was 2; {OUTPUT}"),
    "activation": ("config.json", ("mlp_type",), "relu", f'"relu", was "gelu"; {OUTPUT}'),
    "scale": ("config.json", ("attn_scale",), 0.5, f"0.5, was null; {OUTPUT}"),
    "epsilon": ("config.json", ("norm_eps",), 0.1, f"0.1, was null; {OUTPUT}"),
    "character": ("tokenizer.json", ("chars", 0), "\u00e9", f'"\u00e9", was "\\n"; {OUTPUT}'),
    "batch_size": ("config.json", ("batch_size",), 8, f"8, was 4; {HARMLESS}"),
    "dropout": ("config.json", ("dropout",), 0.5, f"0.5, was 0.2; {HARMLESS}"),
    "eval_iters": (
        "training_state.json",
        ("training_config", "eval_iters"),
        3,
        f"3, was 2; {HARMLESS}",
    ),
    "step": ("training_state.json", ("step",), 40, f"40, was 60; {RESUME}"),
}


@pytest.fixture(params=EDITS)
def edited(request, bundle, in_tmp):
    """A bundle with one edit; return the line that every door has, and whose document it is."""
    name, path, value, rest = EDITS[request.param]
    folder = shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    document = json.loads((folder / name).read_text())
    *above, last = path
    place = document
    for key in above:
        place = place[key]
    place[last] = value
    (folder / name).write_text(json.dumps(document, indent=2))
    where = "".join(f"/{part}" for part in path)
    return f"checkpoints/cat/{name}#{where}: was edited after the save: {rest}", name


def test_every_door_has_the_same_sentence(edited, cli, caplog, text):
    line, name = edited
    is_output = OUTPUT in line
    code, out, _ = cli("format", "validate", "checkpoints/cat")
    assert code == 0
    labelled = f"{'note' if HARMLESS in line else 'warning'}: {line}"
    assert labelled in out
    assert out.endswith("checkpoints/cat: valid\n")
    code, out, _ = cli("format", "validate", "--checksums", "checkpoints/cat")
    assert (code, f"error: {line}" in out) == (1, True)

    info = mypt.get_model_info("cat")
    assert info["edits"][0].startswith(line)
    assert any(warning.startswith(line) for warning in info["warnings"]) == is_output
    _, out, err = cli("inspect", "--model_name", "cat")
    assert f"warning: {line}" in err if is_output else f"Note: {line}" in out

    mypt.load("cat")
    assert any(record.message.startswith(line) for record in caplog.records) == is_output
    code, _, err = cli("generate", "--model_name", "cat", "--prompt", "the", "--max_new_tokens", 2)
    assert (code, f"warning: {line}" in err) == (0, is_output)

    Path("input.txt").write_text(text.replace("\n", " "))
    more = ["--input_file", "input.txt", "--max_iters", "61", "--device", "cpu"]
    code, out, err = cli("train", "--model_name", "cat", *more)
    assert labelled in out, err
    assert f"{name} was edited after the save at /" in out
    data = json.loads(cli("inspect", "--model_name", "cat", "--json")[1])
    assert data["edits"] == []  # the next save records it


def test_a_model_that_begins_from_an_edited_one_is_warned_once(edited, cli, text):
    line, _ = edited
    Path("input.txt").write_text(text.replace("\n", " "))
    given = ["--input_file", "input.txt", "--init_from_model", "cat", "--max_iters", "1"]
    _, out, _ = cli("train", "--model_name", "dog", *given, "--device", "cpu")
    severity = "note" if HARMLESS in line else "warning"
    assert (out.count(line), out.count(f"{severity}: {line}")) == (1, 1)


def test_a_form_that_says_the_same_is_no_reason_to_doubt(bundle, in_tmp, cli):
    folder = shutil.copytree(bundle, in_tmp / "cat")
    for name in ("config.json", "tokenizer.json", "training_state.json"):
        document = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(document))
    _, out, _ = cli("format", "validate", folder)
    assert out.count("is formatted otherwise than it was saved, and says the same") == 3
    info = mypt.get_model_info(folder)
    assert (info["edits"], info["warnings"]) == ([], [])
