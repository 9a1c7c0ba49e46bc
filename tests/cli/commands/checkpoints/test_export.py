import json

import pytest


@pytest.fixture
def model(in_tmp):
    import mypt

    sizes = {"block_size": 8, "vocab_size": 61, "n_embd": 8, "n_head": 2, "n_layer": 1}
    model = mypt.GPT(mypt.GPTConfig(**sizes, head_bias=False))
    model.save("checkpoints/small")
    return "small"


def test_a_model_is_exported(cli, model, in_tmp):
    code, out, _ = cli("export", "--to", "hf", "--model_name", model, "--output", "hf")
    assert code == 0
    assert out == "checkpoints/small -> hf: exported\n"
    assert json.loads((in_tmp / "hf" / "config.json").read_text())["model_type"] == "gpt2"


def test_what_is_folded_is_said(cli, fixtures, in_tmp):
    named = str(fixtures / "neighbours" / "tok_pad_beyond")
    code, out, _ = cli("export", "--to", "hf", "--model_name", named, "--output", "hf")
    assert code == 0
    assert "\n  pad_token, '[PAD]', is left out: the model has no such token\n" in out
    assert (in_tmp / "hf" / "tokenizer.json").exists()


def test_an_unknown_form_is_refused_with_those_that_there_are(refused, model):
    said = refused("export", "--to", "onnx", "--model_name", model, "--output", "x")
    assert "no plugin offers the exporter `onnx`; available: " in said
    assert "hf" in said


def test_a_folder_in_use_is_wrong_usage(refused, model):
    refused("export", "--to", "hf", "--model_name", model, "--output", "checkpoints", code=2)


def test_generate_and_inspect_tell_the_reader_what_a_file_does_not_say(cli, refused, fixtures):
    folder = fixtures / "foreign" / "build_llm_lora"
    path = str(next(folder.glob("*.pt")))
    told = ("--option", "lora_alpha=32", "--option", f"training_text={folder}/advice_letters.txt")
    assert "read by build_llm" in cli("inspect", "--model_name", path, *told)[1]
    greedy = ("--prompt", "Say this once, ca", "--temperature", "0", "--max_new_tokens", "8")
    code, out, _ = cli("generate", "--model_name", path, *told, *greedy)
    assert (code, out) == (0, "Say this once, cand t t t\n")
    assert "--option lora_alpha=32" in refused("inspect", "--model_name", path)
    refused("inspect", "--model_name", path, *told, "--option", "alpha=3", code=2)


def test_a_model_is_exported_to_the_folder_one_is_in(cli, model, in_tmp, monkeypatch):
    (in_tmp / "here").mkdir()
    monkeypatch.chdir(in_tmp / "here")
    code, _, err = cli(
        *("export", "--to", "hf", "--model_name", in_tmp / "checkpoints" / "small"),
        *("--output", "."),
    )
    assert code == 0, err
    assert (in_tmp / "here" / "config.json").exists()


def test_flags_are_options_of_the_exporter(cli, refused, model, in_tmp):
    asked = ("export", "--to", "hf", model, "--output")
    code, _, err = cli(*asked, "a", "--dtype", "bfloat16", "--max_shard_size", "2KB")
    assert code == 0, err
    code, _, err = cli(*asked, "b", "--option", "dtype=bfloat16", "--option", "max_shard_size=2KB")
    assert code == 0, err
    names = sorted(path.name for path in (in_tmp / "a").iterdir())
    assert "model.safetensors.index.json" in names
    assert names == sorted(path.name for path in (in_tmp / "b").iterdir())
    for name in names:
        if name != "README.md":  # which has the name of the folder
            assert (in_tmp / "a" / name).read_bytes() == (in_tmp / "b" / name).read_bytes(), name
    assert json.loads((in_tmp / "a" / "config.json").read_text())["dtype"] == "bfloat16"
    said = refused(*asked, "c", "--dtype", "float8", code=2)
    assert "--option dtype: cannot be 'float8'" in said
    said = refused(*asked, "c", "--dtype", "float16", "--option", "dtype=float16", code=2)
    assert "--dtype and --option dtype=... are the same" in said
    said = refused(*asked, "c", "--max_shard_size", "5 gigabytes", code=2)
    assert "such as 500MB or 5GB" in said
    assert not (in_tmp / "c").exists()


def test_the_help_names_every_built_in_exporter(cli):
    from mypt.plugins.manager import Plugins, load_built_in

    plugins = Plugins()
    load_built_in(plugins)
    _, out, _ = cli("export", "--help")
    assert [name for name in plugins.exporters if name not in out] == []
