import json
import re
import shutil

from mypt.api import info
from mypt.chat.shipped import SHIPPED
from mypt.format.storage.generations import read_manifest, tagged_name


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
    assert "  n_layer      : 2\n" in out
    assert "null" not in out
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


def test_a_training_state_that_cannot_be_used_is_not_said_to_be_absent(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cat")
    state = tmp_path / "cat" / "training_state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"requires": ["two words"]}))
    _, out, err = cli("inspect", "--model_name", tmp_path / "cat")
    assert "training_state.json#/requires/0" in err
    assert "not usable, as the warning says: this checkpoint is for inference only" in out


def test_a_model_that_is_not_there_is_refused(refused, in_tmp):
    assert "no checkpoint `virgil`" in refused("inspect", "--model_name", "virgil", code=2)


def test_a_folder_that_is_no_checkpoint_is_refused(refused, tmp_path):
    refused("inspect", "--model_name", tmp_path)


def test_the_copies_of_a_model_are_listed(cli, bundle, in_tmp, monkeypatch):
    for kind in ("", "_gold", "_fp16"):
        shutil.copytree(f"{bundle}{kind}", in_tmp / "checkpoints" / f"cat{kind}")
    shutil.copytree(f"{bundle}_gold", "checkpoints/cat_step00000030")
    shutil.copytree(bundle, "checkpoints/cat_step00000040")  # a model of its own
    copies = [f"checkpoints/cat_{kind}" for kind in ("gold", "fp16", "step00000030")]
    _, out, _ = cli("inspect", "--model_name", "cat")
    assert [line for line in out.splitlines() if line.startswith("Copy")] == [
        f"Copy: {copy}" for copy in copies
    ]
    assert json.loads(cli("inspect", "--model_name", "cat", "--json")[1])["copies"] == copies
    monkeypatch.chdir("checkpoints/cat")
    within = json.loads(cli("inspect", "--model_name", ".", "--json")[1])["copies"]
    assert within == [str(in_tmp / copy) for copy in copies]


def test_what_an_old_checkpoint_does_not_say_is_not_made_up(cli, fixtures):
    _, out, _ = cli("inspect", "--model_name", fixtures / "mypt" / "modern_char")
    assert "tokens_processed: not recorded\nelapsed_s: not recorded\nexact: not recorded" in out
    assert "best val_loss: 2.6950 at step 180" in out


def test_a_gold_step_without_its_loss_is_left_out(cli, bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "cat")
    path = copy / "training_state.json"
    state = json.loads(path.read_text())
    state["gold"]["best_val_loss"] = None
    path.write_text(json.dumps(state))
    code, out, _ = cli("inspect", "--model_name", copy)
    assert code == 0
    assert "best val_loss" not in out


def test_files_are_told_while_they_get_their_names(cli, bundle, tmp_path, monkeypatch):
    copy = shutil.copytree(bundle, tmp_path / "cat")
    waiting = copy / tagged_name("model.pt", read_manifest(copy).generation)
    (copy / "model.pt").rename(waiting)
    opened = info.open_checkpoint

    def then_renamed(*args, **options):
        result = opened(*args, **options)
        waiting.rename(copy / "model.pt")
        return result

    monkeypatch.setattr(info, "open_checkpoint", then_renamed)
    code, out, err = cli("inspect", "--model_name", copy)
    assert code == 0, err
    assert f"model.pt: {(copy / 'model.pt').stat().st_size:,} bytes" in out


def test_settings_that_are_not_set_are_listed_on_request(cli, bundle):
    _, out, _ = cli("inspect", "--model_name", bundle)
    assert "attn_scale" not in out
    assert "rope_theta" not in out
    assert out.count("(--all lists those that are not set or not recorded)") == 2
    _, out, _ = cli("inspect", "--model_name", bundle, "--all")
    assert "  attn_scale         : null, which means 0.25\n" in out
    assert "  rope_theta         : 10000.0\n" in out
    assert re.search(r"  config_file +: null\n", out)
    assert "--all" not in out


def test_words_of_the_vocabulary_are_listed_where_a_model_uses_them(cli, bundle, tmp_path):
    _, out, _ = cli("inspect", "--model_name", bundle)
    for name in ("block_type", "residual_scale", "embedding_norm", "norm_offset", "stack_type"):
        assert name not in out
    copy = shutil.copytree(bundle, tmp_path / "cat")
    config = json.loads((copy / "config.json").read_text())
    changed = {"block_type": "post_norm", "final_norm": True, "residual_scale": 0.5}
    (copy / "config.json").write_text(json.dumps(config | changed))
    _, out, _ = cli("inspect", "--model_name", copy)
    assert "  block_type     : post_norm\n" in out
    assert "  residual_scale : 0.5\n" in out
    assert "  final_norm     : true\n" in out


def test_a_long_value_is_wrapped_at_the_width_of_the_terminal(cli, bundle, tmp_path, monkeypatch):
    copy = shutil.copytree(bundle, tmp_path / "cat")
    state = json.loads((copy / "training_state.json").read_text())
    state["training_config"]["input_file"] = [f"{number}.txt" for number in range(30)]
    (copy / "training_state.json").write_text(json.dumps(state))
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = cli("inspect", "--model_name", copy)
    settings = out.partition("hyperparameters:\n")[2].splitlines()
    assert max(map(len, settings)) <= 60
    assert sum(".txt" in line for line in settings) > 5


def test_roles_of_tokens_and_templates_are_shown(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cat")
    file = tmp_path / "cat" / "tokenizer.json"
    state = json.loads(file.read_text())
    roles = {"bos": [1], "eos": [2, 3], "pad": 0}
    told = {"special_tokens": roles, "add_bos": True, "chat_template": "{{ x }}"}
    more = {"additional_chat_templates": {"tool_use": "y", "rag": "z"}}
    file.write_text(json.dumps({**state, **told, **more}))
    out = cli("inspect", tmp_path / "cat")[1]
    shown = out.partition("=== TOKENIZER ===\n")[2].partition("\n\n")[0].splitlines()
    texts = [json.dumps(char) for char in state["chars"]]
    assert shown[2:] == [
        f"bos       : 1 {texts[1]}",
        f"eos       : 2 {texts[2]}, 3 {texts[3]}",
        f"pad       : 0 {texts[0]}",
        "add_bos   : true",
        "chats     : a template of 7 characters, and for tool_use, rag",
    ]


def test_a_template_that_ships_is_named(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cat")
    file = tmp_path / "cat" / "tokenizer.json"
    source = SHIPPED["chatml"].source
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": source}))
    assert "chats     : chatml\n" in cli("inspect", tmp_path / "cat")[1]


def test_a_model_of_mypt_with_its_marks_has_its_template(cli, fixtures):
    assert "chats     : mypt\n" in cli("inspect", fixtures / "mypt" / "gpt2_special")[1]


def test_special_tokens_are_shown_with_their_ids_and_roles(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cat")
    file = tmp_path / "cat" / "tokenizer.json"
    state = json.loads(file.read_text())
    n = len(state["chars"]) - 2
    added = {"special_token_encoder": {"<|user|>": n + 1, "<|end|>": n}}
    roles = {"special_tokens": {"turn_end": [n]}}
    file.write_text(json.dumps({**state, "chars": state["chars"][:n], **added, **roles}))
    out = cli("inspect", tmp_path / "cat")[1]
    assert f"special   : 2 tokens: <|end|> {n}, <|user|> {n + 1}\n" in out
    assert f'turn_end  : {n} "<|end|>"\n' in out


def test_how_its_runs_were_started_is_shown(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cat")
    file = tmp_path / "cat" / "training_state.json"
    state = json.loads(file.read_text())
    state["provenance"] |= {
        "start_step": 30,
        "command": ["mypt", "train", "--model_name", "a b"],
        "git": {"commit": "abcdef" * 6 + "0123", "dirty": True},
        "config_sha256": "0123456789abcdef" * 4,
    }
    state["earlier_runs"] = [{"start_step": 0, "versions": {"torch": "1.0"}}]
    file.write_text(json.dumps(state))
    out = " ".join(cli("inspect", tmp_path / "cat")[1].split())
    assert "run, from step 30: mypt train --model_name 'a b' with mypt " in out
    assert "git abcdefabcdef with changes, settings 0123456789ab before, from step 0: " in out
    assert "before, from step 0: started from Python with torch 1.0 " in out
    assert "warning" not in cli("inspect", tmp_path / "cat")[2]
