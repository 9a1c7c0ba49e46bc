import json
import shutil


def test_the_four_sections_are_printed(cli, bundle):
    code, out, _ = cli("inspect", "--model_name", bundle)
    assert code == 0
    titles = [line for line in out.splitlines() if line.startswith("===")]
    assert titles == [
        "=== FORMAT ===",
        "=== CONFIG ===",
        "=== TOKENIZER ===",
        "=== TRAINING STATE ===",
    ]
    assert "n_layer:2" in out
    assert "kind      : char" in out
    assert "Last recorded training step: 60" in out
    assert "max_iters" in out


def test_json_is_one_object(cli, bundle):
    _, out, _ = cli("inspect", "--model_name", bundle, "--json")
    info = json.loads(out)
    assert info["format"] == "2.0"
    assert info["training_state"]["training_config"]["max_iters"] == 60


def test_the_three_files_that_people_share_are_enough(cli, bundle, tmp_path):
    for name in ("model.pt", "config.json", "tokenizer.json"):
        shutil.copy(bundle / name, tmp_path / name)
    code, out, _ = cli("inspect", "--model_name", tmp_path)
    assert code == 0
    assert "for inference only" in out


def test_a_model_that_is_not_there_is_refused(refused, in_tmp):
    assert "no checkpoint `virgil`" in refused("inspect", "--model_name", "virgil", code=2)


def test_a_folder_that_is_no_checkpoint_is_refused(refused, tmp_path):
    refused("inspect", "--model_name", tmp_path)


def test_the_copies_of_a_model_are_listed(cli, bundle, monkeypatch):
    shown = f"Copy: {bundle}_gold", f"Copy: {bundle}_fp16"
    numbered = shutil.copytree(f"{bundle}_gold", f"{bundle}_step00000030")
    other = shutil.copytree(bundle, f"{bundle}_step00000040")
    try:
        _, out, _ = cli("inspect", "--model_name", bundle)
        info = json.loads(cli("inspect", "--model_name", bundle, "--json")[1])
        monkeypatch.chdir(bundle)
        within = json.loads(cli("inspect", "--model_name", ".", "--json")[1])
    finally:
        shutil.rmtree(numbered)
        shutil.rmtree(other)
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("Copy: ")] == [*shown, f"Copy: {numbered}"]
    assert (
        info["copies"]
        == within["copies"]
        == [line.removeprefix("Copy: ") for line in [*shown, f"Copy: {numbered}"]]
    )
