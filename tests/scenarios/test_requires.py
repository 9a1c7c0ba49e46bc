"""Checkpoints that require what this mypt lacks: what each command refuses, and what not."""

import hashlib
import json
import logging
import re
import shutil
from pathlib import Path

import pytest
import torch

import mypt
from mypt.engine.config.overrides import override_training
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, FormatError
from mypt.format.validate import validate
from mypt.format.version import MYPT_VERSION

CAT = Path("checkpoints/cat")
TRAIN = ("train", "--device", "cpu", "--max_iters", 14, "--model_name")
CONFIG, TOKENIZER, STATE = "config.json", "tokenizer.json", "training_state.json"
WHY = {
    CONFIG: "its weights cannot be read",
    TOKENIZER: "text can be neither encoded nor decoded",
    STATE: "its training cannot go on",
}


@pytest.fixture
def cat(train, in_tmp):
    train()
    return in_tmp / CAT


def edit(path, **fields):
    document = json.loads(path.read_text()) | fields
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return document


def save_as(path, **fields):
    """Edit a document of a bundle as if it had been saved so."""
    document, record = edit(path, **fields), path.with_name("manifest.json")
    manifest, data = json.loads(record.read_text()), path.read_bytes()
    manifest["files"][path.name] = {
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    manifest["documents"][path.name] = document
    record.write_text(json.dumps(manifest | {"checksum": None}))


def require(name, feature="sinks", folder=CAT, **fields):
    """Have a document of the model name a feature of format 2.1; give the line that refuses it."""
    save_as(folder / name, format_version="2.1", requires=[feature], **fields)
    return (
        f'{folder}/{name}#/requires/0: is "{feature}", a feature of format 2.1 that mypt '
        f"{MYPT_VERSION} lacks: {WHY[name]}; upgrade mypt: pip install --upgrade mypt-lm"
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "cat", "--prompt", "the"),
        (*TRAIN, "cat"),
        (*TRAIN, "dog", "--input_file", "input.txt", "--init_from_model", "cat"),
        ("train", "--model_name", "dog", "--input_file", "input.txt", "--config_file", "cat"),
        ("export", "cat", "--to", "hf", "--output", "out"),
        ("compare", "cat", "cat", "--prompt", "the"),
        ("compare", "cat", "cat"),
        ("format", "migrate", "cat", "--to", "1"),
    ],
    ids=lambda words: words[0],
)
def test_a_feature_of_the_config_stops_all_that_needs_the_weights(cat, refused, words):
    line = require(CONFIG, sinks=4)
    before = contents(cat)
    assert line.partition("#")[2] in refused(*words)
    assert contents(cat) == before
    assert not Path("out").exists()
    assert not Path("checkpoints/dog").exists()


def test_a_feature_of_the_config_leaves_the_documents_to_be_seen(cat, cli):
    count = mypt.get_model_info("cat")["parameters"]
    line = require(CONFIG, sinks=4, n_layer=1)  # which may mean something else with that feature
    code, out, err = cli("inspect", "cat")
    assert (code, err) == (0, f"warning: {line}\n")
    assert "JSON-based format, version 2.1" in out
    assert f"Parameters: {count:,}\n" in out
    assert re.search(r'requires +: \["sinks"\]', out)
    code, out, _ = cli("list", "--json")
    (row, *_) = [row for row in json.loads(out) if row["name"] == "cat"]
    assert (row["format"], row["valid"], row["parameters"]) == ("2.1", False, count)
    assert row["problem"].startswith('needs a newer mypt: config.json#/requires/0 is "sinks"')
    assert cli("plot", "cat", "--output", "plot.html")[0] == 0
    code, out, _ = cli("format", "validate", "cat")
    assert code == 1
    assert [text for text in out.splitlines() if text.startswith("error: ")] == [f"error: {line}"]


def test_the_tokenizer_of_a_model_that_cannot_be_read_still_prepares_data(cat, cli):
    require(CONFIG)
    words = ("data", "prepare", "input.txt", "--output", "shards", "--from_model", "cat")
    code, _, err = cli(*words)
    assert code == 0, err


def test_an_unknown_field_that_is_not_required_is_kept_and_warned_of(cat, cli):
    save_as(cat / CONFIG, format_version="2.1", sliding_window_2=4)
    code, _, err = cli("generate", "cat", "--prompt", "the", "--max_new_tokens", 1)
    assert code == 0, err
    (told,) = [str(p) for p in validate(cat) if p.kind == "field.unknown"]
    assert "config.json#/sliding_window_2: is not a field of format 2.0" in told
    code, _, err = cli(*TRAIN, "cat")
    assert code == 0, err
    saved = json.loads((cat / CONFIG).read_text())
    assert (saved["format_version"], saved["sliding_window_2"]) == ("2.1", 4)
    line = require(CONFIG, "sliding_window_2")
    with pytest.raises(FormatError) as raised:
        mypt.load("cat")
    assert str(raised.value) == line


def test_a_feature_of_the_tokenizer_stops_text_and_leaves_ids(cat, refused, cli):
    ids = mypt.load("cat").need_tokenizer().encode("the cat")
    words = mypt.load("cat").generate("the cat", 3, temperature=0)
    loss = mypt.load("cat").score("the cat").loss
    line = require(TOKENIZER, "folding")
    assert refused("generate", "cat", "--prompt", "the") == f"error: {line}\n"
    assert refused("generate", "cat") == f"error: {line}\n"
    assert refused("generate", "cat", "--score", "input.txt") == f"error: {line}\n"
    assert refused("compare", "cat", "cat", "--prompt", "the") == f"error: {line}\n"
    model = mypt.load("cat")
    for use in (model.generate, model.score, lambda text: list(model.stream(text))):
        with pytest.raises(FormatError, match="folding"):
            use("the")
    (continued,) = model.generate_many([ids], 3, temperature=0)
    save_as(cat / TOKENIZER, requires=[])
    decode = mypt.load("cat").need_tokenizer().decode
    assert decode([*ids, *continued.ids]) == words
    assert continued.text == "".join(f" {number}" for number in continued.ids)
    assert model.score(ids).loss == loss
    with pytest.raises(ConfigError, match="holds the id 9999"):
        model.score([1, 9999])


def test_a_tokenizer_that_is_not_understood_is_copied(cat, cli, caplog):
    require(TOKENIZER, "folding", added_later={"deep": [1]})
    with caplog.at_level(logging.WARNING, logger="mypt"):
        mypt.load("cat").save("copy")
    kept = json.loads(Path("copy", TOKENIZER).read_text())
    there = json.loads((cat / TOKENIZER).read_text())
    assert {name: kept[name] for name in there} == there
    with pytest.raises(FormatError, match=r"a feature of format 2\.1"):
        mypt.load("copy").generate("the")
    code, _, err = cli("inspect", "copy")
    assert code == 0
    assert 'tokenizer.json#/requires/0: is "folding"' in err


def shards(cli, source="cat", name="shards"):
    words = ("data", "prepare", "input.txt", "--output", name, "--from_model", source)
    code, _, err = cli(*words)
    assert code == 0, err


def test_a_run_goes_on_with_ids_of_a_tokenizer_that_is_not_understood(cat, cli, refused):
    shards(cli)
    line = require(TOKENIZER, "folding")
    assert line in refused(*TRAIN, "cat")  # the text would have to be encoded
    what = "shards/tokenizer_state.json#/requires: is not that of the model's tokenizer"
    assert what in refused(*TRAIN, "cat", "--dataset_dir", "shards")
    edit(Path("shards/tokenizer_state.json"), format_version="2.1", requires=["folding"])
    before = (cat / TOKENIZER).read_bytes()
    code, _, err = cli(*TRAIN, "cat", "--dataset_dir", "shards")
    assert code == 0, err
    state = json.loads((cat / STATE).read_text())
    assert state["step"] == 14
    assert json.loads((cat / TOKENIZER).read_text()) == json.loads(before)
    what = 'shards/tokenizer_state.json#/requires/0: is "folding", a feature of format 2.1'
    new = (*TRAIN, "dog", "--dataset_dir", "shards")
    assert what in refused(*new)
    assert what in refused("compare", "cat", "cat", "--dataset_dir", "shards")
    edit(Path("shards/tokenizer_state.json"), requires="folding")
    assert '/requires: is "folding", not a list' in refused(*new)


def test_no_data_are_prepared_with_a_tokenizer_that_is_not_understood(cat, refused):
    line = require(TOKENIZER, "folding")
    words = ("data", "prepare", "input.txt", "--output", "shards", "--from_model", "cat")
    assert refused(*words) == f"error: {line}\n"


def test_a_feature_of_the_training_state_stops_the_run_and_nothing_else(cat, cli, refused):
    line = require(STATE, "warm_restarts", restarts=3)
    before = contents(cat)
    assert refused(*TRAIN, "cat") == f"error: {line}\n"
    assert refused("format", "migrate", "cat", "--to", "1") == f"error: {line}\n"
    model = mypt.load("cat")
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text="the cat sat on the mat " * 99)
    with pytest.raises(FormatError, match="warm_restarts"):
        model.fit(loader, max_iters=20, quiet=True)
    with pytest.raises(FormatError, match="warm_restarts"):
        mypt.CheckpointManager("cat").initialize_for_training(mypt.GPTConfig())
    assert contents(cat) == before
    for words in (
        ("generate", "cat", "--prompt", "the", "--max_new_tokens", 1),
        ("compare", "cat", "cat", "--prompt", "the", "--max_new_tokens", 1),
        ("inspect", "cat"),
        ("plot", "cat", "--output", "plot.html"),
        (*TRAIN, "dog", "--input_file", "input.txt", "--init_from_model", "cat"),
    ):
        code, _, err = cli(*words)
        assert code == 0, err
    code, out, _ = cli("format", "validate", "cat")
    assert code == 1
    assert f"error: {line}" in out
    model.fit(loader, max_iters=1, eval_iters=1, start_step=0, quiet=True)  # a run of its own


def test_a_state_that_is_not_understood_is_written_again_with_all_it_requires(cat):
    require(STATE, "warm_restarts", restarts=3)
    there = json.loads((cat / STATE).read_text())
    model = mypt.load("cat")
    with pytest.raises(FormatError, match="warm_restarts"):  # the optimizer's state is its own
        model.save_checkpoint_bundle("copy", there["step"])
    (cat / "optimizer.pt").unlink()
    model.save("copy")
    assert not Path("copy", STATE).exists()


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, STATE])
def test_what_no_version_knows_is_refused_by_its_name_too(cat, name):
    edit(cat / name, requires=["mine"])
    (line,) = [str(p) for p in validate(cat) if p.kind == "feature.unknown"]
    assert f'{name}#/requires/0: is "mine", which is no feature of format 2.0: {WHY[name]}' in line


def test_a_config_of_python_that_requires_something_makes_no_model():
    with pytest.raises(ConfigError, match='requires/0: is "sinks", which is no feature'):
        mypt.GPT(mypt.GPTConfig(n_layer=1, n_embd=6, vocab_size=5, requires=("sinks",)))
    for wrong in ("sinks", ("A",), (1,), ("a", "a"), None):
        with pytest.raises(ConfigError, match="requires"):
            mypt.GPTConfig(requires=wrong)


def test_nobody_passes_or_presets_what_a_document_requires(cat, cli, refused):
    Path("preset.json").write_text('{"requires": []}')
    line = refused(*TRAIN, "dog", "--input_file", "input.txt", "--config_file", "preset.json")
    assert "preset.json#/requires: is not a field of this document" in line
    assert cli(*TRAIN, "dog", "--requires", "[]")[0] == 2
    with pytest.raises(ConfigError, match="requires"):
        override_training({"requires": []}, TrainingConfig())


def test_a_model_that_is_not_understood_is_not_called_damaged(cat, cli, refused):
    line = require(CONFIG)
    assert "--fall_back" not in refused(*TRAIN, "cat")
    code, _, err = cli(*TRAIN, "cat", "--fall_back")
    assert code == 1
    assert err.startswith(f"error: {line}")
    assert "no copy takes its place" in err
    code, out, _ = cli("doctor", "cat")
    assert code == 1
    assert 'config.json#/requires/0: is "sinks"' in out


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, STATE])
def test_a_run_is_not_done_again_by_what_is_not_understood(cat, refused, name):
    line = require(name)
    provenance = {"start_step": 0, "command": ["mypt", "train", "--model_name", "cat"]}
    save_as(cat / STATE, provenance=provenance)
    assert line.partition("#")[2] in refused("rerun", "cat", "--model_name", "dog")


def test_a_version_1_model_can_require_nothing_that_is_not_known(cat, refused):
    for name in (CONFIG, TOKENIZER, STATE):
        document = json.loads((cat / name).read_text())
        del document["format_version"], document["requires"]
        (cat / name).write_text(json.dumps(document))
    (cat / "manifest.json").unlink()
    assert mypt.load("cat").generate("the", 1)
    edit(cat / CONFIG, requires=["sinks"])
    assert '/requires/0: is "sinks", which is no feature of format 2.0' in refused(
        "generate", "cat", "--prompt", "the"
    )


def test_an_edit_of_what_is_required_is_told_as_one_that_matters(cat):
    edit(cat / CONFIG, requires=["plugin/mypt-bpe"])
    (told,) = [p for p in validate(cat) if p.kind == "manifest.edited"]
    assert (told.where, told.severity) == ("/requires", "warning")
    assert "the model may now compute something else" in told.fix


def test_weights_are_the_same_whatever_the_other_documents_require(cat):
    before = mypt.load("cat").state_dict()
    require(TOKENIZER, "folding")
    require(STATE, "warm_restarts")
    after = mypt.load("cat").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_copy_of_the_three_files_requires_the_same(cat, in_tmp):
    require(TOKENIZER, "folding")
    shared = in_tmp / "shared"
    shared.mkdir()
    for name in (CONFIG, TOKENIZER, "model.pt"):
        shutil.copy(cat / name, shared)
    with pytest.raises(FormatError, match=r"a feature of format 2\.1"):
        mypt.load(shared).generate("the")
