import json

import pytest

import mypt
from mypt.engine.config.presets import shipped_presets, short_name

PLAIN = ["tiny", "small", "150M", "200M", "250M"]


def test_every_shipped_preset_is_listed(cli):
    _, out, _ = cli("configs")
    listed = [line.split()[0] for line in out[: out.index("\n\n")].splitlines()[2:]]
    pairs = [name for plain in PLAIN for name in (f"modern/{plain}", plain)]
    assert listed == ["demo", *pairs, "750M_unified_v1"]


@pytest.mark.parametrize("preset", shipped_presets())
def test_a_preset_is_found_by_its_path_and_by_the_name_that_the_list_shows(plugins, preset):
    from mypt.engine.config.presets import read_preset

    name = read_preset(preset, plugins.layouts).name
    for given in (
        preset.removeprefix("configs/"),
        short_name(preset),
        f"{short_name(preset)}.json",
    ):
        assert read_preset(given, plugins.layouts).name == name, given


def test_a_name_alone_means_the_nearest_preset_of_that_name(plugins):
    from mypt.engine.config.presets import read_preset

    names = [read_preset(name, plugins.layouts).name for name in ("tiny", "modern/tiny")]
    assert names == ["GPT-Tiny", "GPT-Modern-Tiny"]


@pytest.mark.parametrize("name", PLAIN)
def test_a_modern_preset_has_the_size_of_its_neighbour(plugins, name):
    from mypt.engine.config.presets import read_preset

    plain, modern = (read_preset(p, plugins.layouts).config for p in (name, f"modern/{name}"))
    for field in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size", "batch_size"):
        assert getattr(modern, field) == getattr(plain, field), field


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("name", [None, *map(short_name, shipped_presets())])
def test_no_line_is_wider_than_the_terminal(cli, monkeypatch, width, name):
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = cli("configs", *([] if name is None else [name]))
    assert [line for line in out.splitlines() if len(line) > width] == []
    command = out[out.index("  mypt train") :].partition("input.txt")[0].replace(" \\\n   ", "")
    assert command.startswith(f"  mypt train --config_file {name or 'demo'} --model_name my_model ")


def test_the_counts_of_all_presets_are_those_of_the_real_models(cli):
    import torch

    from mypt.engine.config.presets import read_preset
    from mypt.format.layout import count_model_parameters
    from mypt.plugins.manager import load_plugins

    layouts = load_plugins().layouts
    for name in shipped_presets():
        config = read_preset(name, layouts).config
        with torch.device("meta"):
            model = mypt.GPT(config)
        total = sum(p.numel() for p in model.parameters())
        assert count_model_parameters(config, layouts) == total, name
        assert f"{total:,} (" in cli("configs", "--config_file", name)[1]


def test_an_own_preset_is_shown(cli, in_tmp):
    (in_tmp / "mine.json").write_text(
        json.dumps({"name": "Mine", "block_size": 8, "vocab_size": 100, "n_embd": 4, "n_head": 2})
    )
    code, out, _ = cli("configs", "--config_file", "mine.json")
    assert code == 0
    assert "Config: Mine" in out


def test_an_unknown_key_is_refused_with_a_suggestion(refused, in_tmp):
    (in_tmp / "mine.json").write_text(json.dumps({"n_layers": 8}))
    line = refused("configs", "--config_file", "mine.json")
    assert "mine.json#/n_layers" in line
    assert "did you mean `n_layer`" in line


def test_keys_of_another_program_are_answered_with_ours(cli, in_tmp):
    (in_tmp / "mine.json").write_text(json.dumps({"hidden_size": 8, "lr_decay_iters": 1, "lr": 1}))
    code, _, err = cli("configs", "mine.json")
    assert code == 1
    assert "#/hidden_size: is not a field of this document (did you mean `n_embd`?)" in err
    assert "#/lr: is not a field of this document (did you mean `learning_rate`?)" in err
    assert "#/lr_decay_iters: is not a field of this document (did you mean `max_iters`?)" in err
    assert "the rate falls from `learning_rate`, by `lr_schedule`, to `min_lr`" in err


def test_a_missing_preset_is_refused_with_what_there_is(refused, in_tmp):
    line = refused("configs", "--config_file", "configs/tini.json", code=2)
    assert "did you mean `configs/tiny.json`" in line


@pytest.mark.parametrize(("given", "meant"), [("tinny", "tiny"), ("modern/tin", "modern/tiny")])
def test_a_preset_near_another_is_suggested_by_its_short_name_too(refused, in_tmp, given, meant):
    assert f"did you mean `{meant}`" in refused("configs", "--config_file", given, code=2)


def test_a_preset_that_is_not_json_is_refused(refused, in_tmp):
    (in_tmp / "mine.json").write_text("{")
    assert "is not JSON" in refused("configs", "--config_file", "mine.json")


def test_the_memory_that_is_shown_is_what_a_run_keeps(cli):
    """763 million weights: 4 bytes each, as many for gradients, 8 for moments, 12 for the copy."""
    out = " ".join(cli("configs", "--config_file", "base/750M_unified_v1")[1].split())  # wrapped
    assert "On a GPU : 12.2 GB of the GPU, and 9.2 GB of the machine " in out
    assert "On the CPU: 21.4 GB, or 12.2 GB if training is to wait for saves " in out
    shares = "3.1 GB weights, 3.1 GB gradients, 6.1 GB moments of AdamW, 9.2 GB copy for saving"
    assert shares in out
    assert "Checkpoint: 9.2 GB, of which 3.1 GB are needed for inference" in out


def test_the_memory_is_that_of_the_optimizer_of_the_preset(cli):
    """Muon keeps one value for each weight of the layers' matrices, and two for any other."""
    from mypt.engine.checkpoints.memory_check import expect_memory
    from mypt.engine.config.presets import read_preset
    from mypt.plugins.manager import load_plugins

    plugins = load_plugins()
    preset = read_preset("modern/tiny", plugins.layouts)
    c, memory = preset.config, expect_memory(preset.config, preset.hyperparameters, plugins)
    matrices = c.n_layer * 12 * c.n_embd**2  # 4 of attention's, 8 of the feed-forward part
    assert memory.state == 2 * memory.weights - 4 * matrices
    out = " ".join(cli("configs", "modern/tiny")[1].split())
    assert f"{memory.describe()}, in float32" in out
    assert "state of muon" in out


def test_a_copy_can_be_edited_and_trained_with(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    code, out, err = cli("configs", "demo", "--output", "mine.json")
    assert code == 0, err
    assert "mypt train --config_file mine.json" in out
    preset = json.loads((in_tmp / "mine.json").read_text())
    assert preset["n_layer"] == 4
    small = {"n_layer": 1, "n_embd": 16, "block_size": 8, "max_iters": 1, "eval_iters": 1}
    (in_tmp / "mine.json").write_text(json.dumps(preset | small))
    assert cli("format", "validate", "mine.json")[0] == 0
    name = ("--model_name", "cat", "--input_file", "input.txt")
    code, _, err = cli("train", "--config_file", "mine.json", *name)
    assert code == 0, err
    assert mypt.get_model_info("cat")["config"]["n_layer"] == 1


def test_a_copy_never_replaces_anything(refused, in_tmp):
    (in_tmp / "mine.json").write_text("precious")
    line = refused("configs", "demo", "--output", "mine.json", code=2)
    assert "is there already" in line
    assert (in_tmp / "mine.json").read_text() == "precious"
    line = refused("configs", "demo", "--output", "nowhere/mine.json")
    assert "nowhere/mine.json: could not be written" in line
    assert [path.name for path in in_tmp.iterdir()] == ["mine.json"]


def test_there_is_one_preset_to_show_or_to_copy(refused, in_tmp):
    assert "nothing to copy" in refused("configs", "--output", "mine.json", code=2)
    assert "give one" in refused("configs", "demo", "--config_file", "tiny", code=2)


def test_the_settings_of_a_model_are_shown_and_copied(cli, bundle, in_tmp, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = cli("configs", bundle)
    assert "Taken from cat: architecture, tokenizer char, max_iters, " in out
    assert "Not taken from cat: weights, vocabulary, log_file, vocab_size\n" in out
    assert "  n_layer" not in out
    assert cli("configs", bundle / "config.json", "--output", "cat.json")[0] == 0
    preset = json.loads((in_tmp / "cat.json").read_text())
    assert preset["tokenization"] == "char"
    assert (preset["n_layer"], preset["max_iters"]) == (2, 60)
    assert not {"vocab_size", "log_file", "device", "format_version"} & preset.keys()


def test_a_preset_says_which_programs_its_models_can_be_exported_to(cli, in_tmp, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (in_tmp / "mine.json").write_text(json.dumps({"vocab_size": 100, "head_bias": True}))
    _, out, _ = cli("configs", "mine.json")
    assert "no: head_bias: is true" in out
    assert "--no_head_bias" in out
    _, out, _ = cli("configs", "demo")
    exports = out[out.index("Exports of what it trains:") :].splitlines()
    assert exports[1].replace(":", " ").split() == ["hf", "yes"]


def test_the_list_groups_presets_by_program(cli):
    _, out, _ = cli("configs")
    lines = out[out.index("Exports of what they train:") :].splitlines()
    program, names = lines[1].split(":")
    plain = [name for name in map(short_name, shipped_presets()) if "modern/" not in name]
    assert program.strip() == "hf"
    assert {name.strip() for name in names.split(",")} == {*plain}


def test_what_is_shown_is_one_json_value_too(cli, in_tmp, refused):
    listed = json.loads(cli("configs", "--json")[1])
    assert [preset["file"] for preset in listed] == shipped_presets()
    shown = json.loads(cli("configs", "demo", "--json")[1])
    assert shown == {**next(p for p in listed if p["file"] == "configs/demo.json"), "file": "demo"}
    assert shown["exports"]["hf"] == []
    assert shown["config"]["head_bias"] is False
    (in_tmp / "mine.json").write_text(json.dumps({"vocab_size": 100, "head_bias": True}))
    (reason,) = json.loads(cli("configs", "mine.json", "--json")[1])["exports"]["hf"]
    assert reason["where"] == "/head_bias"
    said = refused("configs", "demo", "--json", "--output", "new.json", code=2)
    assert "leave one out" in said


def test_the_page_on_leaving_says_what_the_presets_can(root):
    from mypt.engine.config.exports import list_exports
    from mypt.engine.config.presets import read_preset
    from mypt.plugins.manager import load_plugins

    plugins = load_plugins()
    allowed = {}
    for name in shipped_presets():
        found = list_exports(read_preset(name, plugins.layouts).config, plugins)
        for export in found:
            if not export.reasons:
                allowed.setdefault(export.exporter, set()).add(short_name(name))
    names = {short_name(name) for name in shipped_presets()}
    assert allowed["hf"] == names - {f"modern/{plain}" for plain in PLAIN}
    assert allowed["gguf"] == allowed["litgpt"] == {"demo", "750M_unified_v1"}
    page = (root / "docs" / "how-to" / "export.md").read_text("utf-8").replace("\n", " ")
    assert "all but those of `modern/` go to `hf`; `demo` and `750M_unified_v1` to `gguf`" in page


def test_a_modern_preset_can_be_exported_with_another_activation(cli, in_tmp):
    cli("configs", "modern/tiny", "--output", "mine.json")
    preset = json.loads((in_tmp / "mine.json").read_text())
    (in_tmp / "mine.json").write_text(json.dumps(preset | {"mlp_type": "swiglu"}))
    exports = json.loads(cli("configs", "mine.json", "--json")[1])["exports"]
    assert [name for name, reasons in exports.items() if not reasons] == ["hf", "gguf", "litgpt"]
