"""The model card says how a model was made, as its checkpoint records it, and invents nothing."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import mypt
from mypt.export.hugging_face.card import _code, _escape

TRAIN = (
    *("train", "--model_name", "cat", "--input_file", "in|put.txt", "--n_layer", "1"),
    *("--n_head", "1", "--n_embd", "8", "--block_size", "8", "--batch_size", "2", "--max_iters"),
    *("4", "--eval_interval", "2", "--eval_iters", "1", "--device", "cpu"),
)


@pytest.fixture
def trained(cli, in_tmp):
    Path("in|put.txt").write_text("the cat sat on the mat " * 40)
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    return in_tmp / "checkpoints" / "cat"


def export(folder, name="hf", **options):
    notes = mypt.export_model(folder, "hf", name, options=options)
    return ModelCard.load(Path(name, "README.md")), notes


def read_state(folder):
    return json.loads((folder / "training_state.json").read_text())


def test_the_hub_reads_what_it_is_for_and_no_license(trained):
    card, _ = export(trained)
    assert card.data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["mypt"],
    }


def test_it_says_how_the_model_was_trained(trained):
    card, _ = export(trained)
    state, text = read_state(trained), card.text
    assert text.lstrip().startswith("# hf\n")
    assert "A GPT2LMHeadModel with " in text
    assert "- command: `mypt train --model_name cat --input_file 'in|put.txt'" in text
    versions = {**state["provenance"]["versions"], "torch": state["environment"]["torch"]}
    for name, version in versions.items():
        assert f"{name} {version}".replace("_", "\\_") in text
    git = state["provenance"]["git"]
    assert git is None or git["commit"][:12] in text
    assert state["data"]["sha256"] in text
    assert f"| training tokens | {state['data']['train_tokens']:,} |" in text
    assert "| step | 4 |" in text
    assert f"| tokens | {state['tokens_processed']:,} |" in text
    settings = state["training_config"]
    for name in ("learning_rate", "weight_decay", "seed", "max_iters"):
        assert f"| {name} | {settings[name]} |".replace("_", "\\_") in text
    assert "in|put.txt" in text  # in a span of code, as no table has it


def test_it_has_the_final_and_the_best_loss(trained):
    card, _ = export(trained)
    events = [
        json.loads(line) for line in Path("logs/train/cat_eval.jsonl").read_text().splitlines()
    ]
    final = [event for event in events if event["event"] == "eval"][-1]
    assert final["iter"] == 4
    assert f"| val, final | {final['val_loss']:.4f} |" in card.text
    assert f"| train, final | {final['train_loss']:.4f} |" in card.text
    gold = read_state(trained)["gold"]
    best = f"| val, best | {gold['best_val_loss']:.4f} (at step {gold['best_step']}) |"
    assert best in card.text


def test_without_its_log_the_final_loss_is_not_said(trained):
    shutil.rmtree("logs")
    card, _ = export(trained)
    assert "final" not in card.text
    assert "| val, best |" in card.text


def test_a_model_of_which_nothing_is_known_has_no_training(tmp_path):
    sizes = {"block_size": 8, "vocab_size": 5, "n_embd": 8, "n_head": 1, "n_layer": 1}
    mypt.GPT(mypt.GPTConfig(**sizes)).save(tmp_path / "model")
    card, _ = export(tmp_path / "model", str(tmp_path / "hf"))
    for title in ("## Training", "## Losses", "## Data", "AutoTokenizer"):
        assert title not in card.text
    assert "## Model" in card.text


def test_a_name_cannot_write_markdown():
    assert _escape("a_b*[c](d)\n# e") == r"a\_b\*\[c\](d) \# e"
    assert _code("plain") == "`plain`"
    assert _code("a `b` ``c``") == "``` a `b` ``c`` ```"
