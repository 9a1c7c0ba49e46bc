"""Legacy checkpoints become bundles: nothing lost, the source untouched, done once."""

import errno
import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import mypt
from mypt.cli.main import mypt_group, run
from mypt.format import migrate
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import FormatError, MyptError
from mypt.format.migrate import Migrator, default_output
from mypt.format.validate import validate
from mypt.plugins.manager import load_plugins
from tests.support.paths import SUITE

PLUGINS = load_plugins()
NAMES = [
    "bundle_bf16_perhead_char",
    "bundle_training_config_char",
    "bundle_v1_partial_char",
    "fused_qkv_char",
    "gpt2_special",
    "gpt_step_char",
    "legacy_final_cuda_char",
    "legacy_latest_char",
    "mixed_latest_and_bundle_char",
    "modern_char",
    "modern_char_fp16",
]


def migrator(**options):
    return Migrator(
        readers=tuple(PLUGINS.readers.values()),
        written_by="mypt test",
        layouts=PLUGINS.layouts,
        **options,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture
def cli(capsys):
    def call(*words):
        code = run(mypt_group, "mypt", [str(word) for word in words])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def copy(fixtures, tmp_path):
    """Copy a fixture to where it may be written to."""

    def call(name):
        folder = tmp_path / name
        shutil.copytree(fixtures / "mypt" / name, folder, copy_function=shutil.copyfile)
        return folder

    return call


@pytest.mark.parametrize("name", NAMES)
def test_a_legacy_checkpoint_becomes_a_bundle_that_gives_the_same_logits(copy, name):
    source = copy(name)
    before = contents(source)
    report = migrator().migrate(source)
    assert report.result == "migrated"
    assert report.output == default_output(source)
    assert contents(source).items() >= before.items()
    assert validate(report.output, PLUGINS.layouts, checksums=True) == []
    shutil.copytree(source, source.with_name("again"), copy_function=shutil.copyfile)
    for path in [*report.output.glob("*.json"), *report.output.glob("*.pt")]:
        if report.output == source and path.name not in before:
            (source.with_name("again") / path.name).unlink()
    old, new = mypt.load(source.with_name("again")), mypt.load(report.output)
    ids = torch.arange(10)[None]
    assert torch.equal(old(ids), new(ids))


@pytest.mark.parametrize("name", ["legacy_latest_char", "modern_char"])
def test_migrating_again_changes_nothing(copy, name):
    source = copy(name)
    output = migrator().migrate(source).output
    before = contents(output)
    assert migrator().migrate(source).result == "there already"
    assert migrator().migrate(output).result == "there already"
    assert contents(output) == before


def test_the_optimizer_state_comes_along(copy):
    bundle = read_bundle(migrator().migrate(copy("bundle_v1_char")).output)
    state = bundle.optimizer()
    assert len(state["state"]) == len(bundle.weights())
    training = bundle.training_state.training_config
    assert (training.weight_decay, training.weight_decay_on) == (0.01, "all")
    assert training.beta2 == 0.999


def test_a_dry_run_writes_nothing_and_reports_the_same(copy, tmp_path):
    source = copy("legacy_latest_char")
    before = contents(source)
    planned = migrator(dry_run=True).migrate(source)
    assert planned.result == "would migrate"
    assert contents(source) == before
    done = migrator().migrate(source)
    assert (done.lines, done.output) == (planned.lines, planned.output)


def test_the_report_names_what_was_mapped_defaulted_and_left_out(copy):
    lines = "\n".join(migrator(dry_run=True).migrate(copy("bundle_v1_partial_char")).lines)
    assert "query, key and value of all heads are joined" in lines
    assert "`tril`) are left out" in lines
    assert "by default: tie_weights=false" in lines
    assert "no training state" in lines
    assert "optimizer state: none" in lines


def test_fields_that_mypt_does_not_use_are_kept(copy):
    source = copy("modern_char")
    output = migrator().migrate(source).output
    for name in ("config", "tokenizer", "training_state"):
        old = json.loads((source / f"{name}.json").read_text())
        new = json.loads((output / f"{name}.json").read_text())
        if name == "training_state":
            assert new.pop("training_config").items() >= old.pop("training_config").items()
        assert new.items() >= old.items()


def test_another_bundle_in_the_way_is_left_alone(copy, tmp_path):
    output = migrator().migrate(copy("modern_char")).output
    before = contents(output)
    with pytest.raises(FormatError, match="holds another checkpoint"):
        migrator().migrate(copy("fused_qkv_char"), output)
    assert contents(output) == before


def test_a_whole_tree_is_migrated_and_a_bad_one_does_not_stop_the_others(copy, tmp_path):
    for name in ("modern_char", "legacy_latest_char", "fused_qkv_char"):
        copy(name)
    damaged = tmp_path / "fused_qkv_char" / "model.pt"
    weights = torch.load(damaged, weights_only=True)
    del weights["state_dict"]["blocks.0.sa.proj.weight"]
    torch.save(weights, damaged)
    reports = {r.source.name: r for r in migrator().migrate_all(tmp_path)}
    assert {name: report.result for name, report in reports.items()} == {
        "fused_qkv_char": "failed",
        "legacy_latest_char": "migrated",
        "modern_char": "migrated",
    }
    assert "blocks.0.sa.proj.weight" in reports["fused_qkv_char"].lines[0]
    assert not (tmp_path / "fused_qkv_char_v2").exists()


def test_the_copies_of_a_model_stay_its_copies(copy, cli, tmp_path, monkeypatch):
    for name in ("modern_char", "modern_char_gold", "modern_char_fp16"):
        copy(name)
    outputs = {r.source.name: r.output.name for r in migrator().migrate_all(tmp_path)}
    assert outputs == {
        "modern_char": "modern_char_v2",
        "modern_char_gold": "modern_char_v2_gold",
        "modern_char_fp16": "modern_char_v2_fp16",
    }
    of = {n: read_bundle(tmp_path / n).training_state.copy_of for n in outputs.values()}
    assert {*of.values()} == {None, "modern_char_v2"}
    assert of["modern_char_v2"] is None
    again = [report.result for report in migrator().migrate_all(tmp_path)]
    assert again == ["there already"] * 3
    monkeypatch.chdir(tmp_path)
    assert "modern_char_v2_gold" in cli("inspect", "--model_name", "modern_char_v2")[1]


def test_what_is_only_named_like_a_copy_is_a_model_of_its_own(copy, tmp_path):
    alone = copy("modern_char_gold")
    report = migrator().migrate(alone)
    assert report.output == tmp_path / "modern_char_gold_v2"
    assert read_bundle(report.output).training_state.copy_of is None
    copy("modern_char")
    elsewhere = migrator().migrate(alone, tmp_path / "elsewhere").output
    assert read_bundle(elsewhere).training_state.copy_of is None


def test_what_does_not_read_back_as_written_is_not_committed(copy, monkeypatch):
    source = copy("modern_char")
    monkeypatch.setattr("mypt.format.migrate._are_equal", lambda *_: False)
    with pytest.raises(FormatError, match="does not read back"):
        migrator().migrate(source)
    assert not any((default_output(source)).glob("*.*"))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FormatError, match="is not a checkpoint"):
        migrator().migrate(tmp_path / "notes.txt")


def test_a_fused_model_goes_back_to_version_1_as_it_came(copy):
    from mypt.format.downgrade import downgrade

    source = copy("modern_char")
    bundle = migrator().migrate(source).output
    report = downgrade(bundle, None, PLUGINS.layouts, dry_run=False)
    assert report.output.name == "modern_char_v2_v1"
    back = json.loads((report.output / "config.json").read_text())
    assert back == json.loads((source / "config.json").read_text())
    old = torch.load(source / "model.pt", weights_only=True)["state_dict"]
    new = torch.load(report.output / "model.pt", weights_only=True)
    assert list(old) == list(new)
    assert all(torch.equal(old[name], new[name]) for name in old)
    saved = torch.load(source / "optimizer.pt", weights_only=True)
    again = torch.load(report.output / "optimizer.pt", weights_only=True)
    for index, moments in saved["state"].items():
        assert torch.equal(moments["exp_avg"], again["state"][index]["exp_avg"])


def test_a_model_without_a_head_bias_goes_to_version_1_with_one_of_zeros(tmp_path):
    """MyPT's models have one; new models of mypt have none."""
    from mypt.format.downgrade import downgrade

    text = "the cat sat on the mat " * 40
    tokenizer = PLUGINS.tokenizer("char").train(text)
    shape = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "batch_size": 2}
    config = mypt.GPTConfig(**shape, vocab_size=tokenizer.vocab_size)
    model = mypt.GPT(config, tokenizer, plugins=PLUGINS)
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    model.fit(loader, max_iters=2, eval_iters=1, checkpoint_dir=tmp_path / "model", quiet=True)
    assert "lm_head.bias" not in model.state_dict()
    report = downgrade(tmp_path / "model", tmp_path / "v1", PLUGINS.layouts, dry_run=False)
    assert "lm_head.bias is added as zeros: MyPT has one" in report.lines
    assert not any("head_bias" in line for line in report.lines)
    weights = torch.load(tmp_path / "v1" / "model.pt", weights_only=True)
    assert list(weights)[-2:] == ["lm_head.weight", "lm_head.bias"]
    assert not weights["lm_head.bias"].any()
    groups = torch.load(tmp_path / "v1" / "optimizer.pt", weights_only=True)["param_groups"]
    assert sum(len(group["params"]) for group in groups) == len(weights)
    ids = torch.arange(6)[None]
    back = mypt.load(tmp_path / "v1")
    assert back.config.has_head_bias
    with torch.no_grad():
        torch.testing.assert_close(back(ids), model(ids))


def test_roles_and_templates_are_left_out_of_version_1_and_reported(tmp_path):
    from mypt.format.downgrade import downgrade

    special = {"<|endoftext|>": 50256, "<myPT_eot>": 50257, "</myPT_user>": 50258}
    tokenizer = PLUGINS.tokenizer("gpt2").build({"special_token_encoder": special})
    shape = {"block_size": 4, "n_embd": 4, "n_head": 1, "n_layer": 1}
    config = mypt.GPTConfig(**shape, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer, plugins=PLUGINS).save(tmp_path / "model")
    file = tmp_path / "model" / "tokenizer.json"
    state = json.loads(file.read_text())
    assert state["special_tokens"]["eos"] == [50257, 50256]
    assert state["special_tokens"]["turn_end"] == [50258]
    report = downgrade(tmp_path / "model", tmp_path / "v1", PLUGINS.layouts, dry_run=False)
    assert not any("special_tokens" in line for line in report.lines)
    again = migrator().migrate(tmp_path / "v1", tmp_path / "again").output
    assert (
        json.loads((again / "tokenizer.json").read_text())["special_tokens"]
        == (state["special_tokens"])
    )
    changed = {"special_tokens": {"eos": [50258]}, "add_bos": False, "chat_template": "x"}
    file.write_text(json.dumps({**state, **changed}))
    report = downgrade(tmp_path / "model", tmp_path / "v1b", PLUGINS.layouts, dry_run=False)
    assert "tokenizer.json, left out: special_tokens, chat_template" in report.lines


def test_what_version_1_cannot_say_is_listed_in_full(copy):
    from mypt.format.downgrade import downgrade

    bundle = migrator().migrate(copy("legacy_latest_char")).output
    with pytest.raises(FormatError) as refused:
        downgrade(bundle, None, PLUGINS.layouts, dry_run=False)
    assert [problem.where for problem in refused.value.problems] == ["/proj_bias", "/mlp_type"]
    assert not bundle.with_name(f"{bundle.name}_v1").exists()


def test_what_is_damaged_in_a_tree_is_named_and_stops_nobody(copy, tmp_path):
    copy("modern_char")
    for name in ("broken_config", "fused_qkv_char"):
        shutil.copytree(copy("fused_qkv_char"), tmp_path / "x" / name)
        shutil.rmtree(tmp_path / "fused_qkv_char")
    (tmp_path / "x" / "broken_config" / "config.json").write_text('{"n_layer": ')
    legacy = copy("legacy_latest_char")
    whole = (legacy / "latest.pt").read_bytes()
    (legacy / "cut.pt").write_bytes(whole[:-100])
    (legacy / "latest.pt").write_bytes(whole[:-200])
    torch.save([1, 2], tmp_path / "no_checkpoint.pt")
    (tmp_path / ".x_v1.mypt-waiting").mkdir()  # of a killed process
    (tmp_path / ".x_v1.mypt-waiting" / "latest.pt").write_bytes(whole)
    found = {str(r.source.relative_to(tmp_path)): r for r in migrator().migrate_all(tmp_path)}
    assert {name: report.result for name, report in found.items()} == {
        "legacy_latest_char/cut.pt": "failed",
        "legacy_latest_char/latest.pt": "failed",
        "modern_char": "migrated",
        "x/broken_config": "failed",
        "x/fused_qkv_char": "migrated",
    }
    assert "config.json" in found["x/broken_config"].lines[0]
    assert "is truncated" in found["legacy_latest_char/latest.pt"].lines[0]


def test_a_tree_is_walked_as_validate_and_list_walk_it(copy, tmp_path):
    (tmp_path / "config.json").write_text('{"name": "my project"}')
    source = copy("legacy_latest_char") / "latest.pt"
    (tmp_path / "runs").mkdir()
    source.rename(tmp_path / "runs" / "MODEL.PTH")
    copy("bundle_v1_char")
    (tmp_path / "link").symlink_to(tmp_path / "bundle_v1_char")
    copy("modern_char")
    (tmp_path / "modern_char" / "config.json").rename(tmp_path / "modern_char" / "Config.json")
    reports = {
        r.source.relative_to(tmp_path).as_posix(): r
        for r in migrator(dry_run=True).migrate_all(tmp_path)
    }
    assert {name: r.result for name, r in reports.items()} == {
        "bundle_v1_char": "would migrate",
        "modern_char": "failed",
        "runs/MODEL.PTH": "would migrate",
    }
    assert "rename `Config.json` to it" in reports["modern_char"].lines[0]


def test_a_folder_that_cannot_be_looked_into_stops_nobody(copy, tmp_path, monkeypatch):
    copy("modern_char")
    (tmp_path / "closed").mkdir()
    look = Path.iterdir

    def closed(self):
        if self.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return look(self)

    monkeypatch.setattr(Path, "iterdir", closed)
    found = {report.source.name: report for report in migrator().migrate_all(tmp_path)}
    assert found["modern_char"].result == "migrated"
    assert "Permission denied" in found["closed"].lines[0]
    problems = validate(tmp_path, PLUGINS.layouts, tuple(PLUGINS.readers.values()))
    assert [problem.file for problem in problems if problem.severity == "error"] == [
        str(tmp_path / "closed")
    ]


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "model.pt"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_does_not_tell_what_is_there_is_not_taken_at_a_word(
    tmp_path, monkeypatch, name, code
):
    source, output, look = tmp_path / "dante", tmp_path / "new", Path.stat
    shutil.copytree(SUITE / "bundles" / "valid" / "version_1", source)
    for number in itertools.count(1):  # whichever of the looks at a file it is that fails
        looks = 0

        def stat(self, number=number, **options):
            nonlocal looks
            looks += self.name == name
            if self.name == name and looks == number:
                raise OSError(code, os.strerror(code))
            return look(self, **options)

        monkeypatch.setattr(Path, "stat", stat)
        try:
            result = migrator().migrate(source, output).result
        except (MyptError, OSError):
            result = None
        monkeypatch.setattr(Path, "stat", look)
        assert result is None or (result == "migrated" and read_bundle(output))
        shutil.rmtree(output, ignore_errors=True)
        if looks < number:
            break
    assert number > 1
    assert result == "migrated"


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda data: data[:-100], "is truncated"),
        (lambda _: b"", "is empty"),
        (lambda _: b"a text", "is not a file written by torch.save"),
    ],
)
def test_a_damaged_legacy_file_is_called_so_by_everyone(copy, in_tmp, cli, damage, what):
    folder = copy("legacy_latest_char")
    file = folder / "latest.pt"
    file.write_bytes(damage(file.read_bytes()))
    for words in (
        ("inspect", "--model_name", folder),
        ("generate", "--model_name", file, "--prompt", "x"),
        ("format", "migrate", folder),
        ("format", "validate", folder),
    ):
        code, out, err = cli(*words)
        assert code == 1
        assert f"{file}: {what}" in err + out
    shutil.copytree(folder, in_tmp / "checkpoints" / "old")
    code, _, err = cli("train", "--model_name", "old", "--max_iters", "1")
    assert code == 1
    assert what in err
    assert [path.name for path in (in_tmp / "checkpoints").iterdir()] == ["old"]


def test_a_bundle_that_came_meanwhile_is_left_alone(copy, monkeypatch):
    source, other = copy("modern_char"), copy("fused_qkv_char")
    output, read = default_output(source), migrate.read_whole

    def meanwhile(*args, **options):
        monkeypatch.setattr(migrate, "read_whole", read)
        migrator().migrate(other, output)
        return read(*args, **options)

    monkeypatch.setattr(migrate, "read_whole", meanwhile)
    with pytest.raises(FormatError, match="holds another checkpoint"):
        migrator().migrate(source)
    kept = read_bundle(output)
    assert (kept.manifest.generation, kept.config.n_layer) == (1, 3)


@pytest.mark.parametrize("name", [".", "..", "ckpt"])
def test_a_source_without_a_name_or_a_suffix_has_its_output_beside_it(
    copy, tmp_path, monkeypatch, name
):
    folder = copy("legacy_latest_char" if name == "ckpt" else "modern_char")
    if name == "ckpt":
        source = (folder / "latest.pt").rename(tmp_path / "ckpt")
        assert migrator().migrate(source).output == tmp_path / "ckpt_v2"
        return
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder if name == "." else folder / "sub")
    assert migrator().migrate(Path(name)).output == tmp_path / "modern_char_v2"
    monkeypatch.chdir(tmp_path / "modern_char_v2")
    from mypt.format.downgrade import downgrade

    report = downgrade(Path(), None, PLUGINS.layouts, dry_run=False)
    assert report.output == tmp_path / "modern_char_v2_v1"


def test_a_lost_vocabulary_makes_a_model_of_bare_ids(copy):
    source = copy("modern_char")
    (source / "tokenizer.json").unlink()
    report = migrator().migrate(source)
    assert "its vocabulary of 78 ids is lost: the model takes bare ids" in report.lines
    assert read_bundle(report.output).tokenizer is None
    problems = validate(report.output, PLUGINS.layouts)
    assert not [problem for problem in problems if problem.severity == "error"]


def test_the_vocabulary_of_another_model_is_refused(copy):
    source, other = copy("modern_char"), copy("gpt2_special")
    shutil.copyfile(other / "tokenizer.json", source / "tokenizer.json")
    with pytest.raises(FormatError, match="needs 50257 ids, but the model's vocab_size is 78"):
        migrator().migrate(source)


def test_what_was_known_of_gold_comes_along(copy):
    source = copy("modern_char")
    gold = read_bundle(migrator().migrate(source).output).training_state.gold
    assert (gold.best_val_loss, gold.best_step) == (2.69500470161438, 180)
    for text in ('{"best_gold_val_loss": "low", "gold_step": 1}', "{", "[]"):
        shutil.rmtree(default_output(source))
        (source / "gold_selection_state.json").write_text(text)
        assert read_bundle(migrator().migrate(source).output).training_state.gold is None


def test_weights_that_are_not_numbers_are_migrated_bit_for_bit(copy):
    source = copy("legacy_latest_char")
    checkpoint = torch.load(source / "latest.pt", weights_only=False)
    bias = checkpoint["model_state_dict"]["ln_f.weight"]
    bias[:3] = torch.tensor([float("nan"), float("-inf"), -0.0])
    bias.view(torch.int32)[3] = 0x7FC12345  # a NaN with something to say
    moments = checkpoint["optimizer_state_dict"]["state"][0]["exp_avg"]
    moments.fill_(float("nan"))
    torch.save(checkpoint, source / "latest.pt")
    report = migrator().migrate(source)
    assert report.result == "migrated", report.lines
    stored = torch.load(report.output / "model.pt", weights_only=True)["ln_f.weight"]
    assert torch.equal(stored.view(torch.int32), bias.view(torch.int32))
    assert migrator().migrate(source).result == "there already"


def test_a_tied_matrix_that_was_stored_twice_is_stored_once(copy):
    source = copy("modern_char")
    wrapped = torch.load(source / "model.pt", weights_only=True)
    weights = wrapped["state_dict"]
    weights["lm_head.weight"] = weights["token_embedding_table.weight"].clone()
    torch.save(wrapped, source / "model.pt")
    config = json.loads((source / "config.json").read_text()) | {"tie_weights": True}
    (source / "config.json").write_text(json.dumps(config))
    (source / "training_state.json").unlink()
    output = migrator().migrate(source).output
    stored = torch.load(output / "model.pt", weights_only=True)
    first, second = (stored[f"{name}.weight"] for name in ("token_embedding_table", "lm_head"))
    assert first.data_ptr() == second.data_ptr()
    assert not [p for p in validate(output, PLUGINS.layouts) if p.severity != "note"]


def test_what_a_document_of_version_1_says_wrong_is_named_with_it(copy):
    source = copy("modern_char")
    state = json.loads((source / "training_state.json").read_text()) | {"step": "x"}
    (source / "training_state.json").write_text(json.dumps(state))
    with pytest.raises(FormatError, match=r"modern_char/training_state\.json#/step: is"):
        migrator().migrate(source)


def test_a_damaged_bundle_is_not_called_migrated(copy):
    source = copy("bundle_training_config_char")
    output = migrator().migrate(source).output
    weights = output / "model.pt"
    weights.write_bytes(weights.read_bytes()[:100])
    for dry_run in (False, True):
        with pytest.raises(FormatError, match=r"model\.pt"):
            migrator(dry_run=dry_run).migrate(output)
