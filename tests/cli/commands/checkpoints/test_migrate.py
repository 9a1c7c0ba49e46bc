import shutil

import pytest


@pytest.fixture
def old(fixtures, in_tmp):
    folder = in_tmp / "checkpoints" / "old"
    folder.mkdir(parents=True)
    shutil.copyfile(fixtures / "mypt" / "legacy_latest_char" / "latest.pt", folder / "latest.pt")
    return "checkpoints/old"


def test_a_legacy_file_is_migrated_in_its_folder(cli, cli_format, old):
    code, out, _ = cli_format("migrate", f"{old}/latest.pt")
    assert code == 0
    assert out.startswith("checkpoints/old/latest.pt -> checkpoints/old: migrated\n")
    assert "there already" in cli_format("migrate", f"{old}/latest.pt")[1]
    assert cli_format("validate", old) == (0, f"{old}: valid\n", "")
    assert "Last recorded training step: 120" in cli("inspect", "--model_name", "old")[1]


def test_a_tree_is_migrated(cli_format, old):
    code, out, _ = cli_format("migrate", "--all", "checkpoints")
    assert code == 0
    assert out.endswith("1 checkpoints, 0 failed\n")
    assert cli_format("migrate", "--all", "checkpoints")[1] == "0 checkpoints, 0 failed\n"


def test_a_dry_run_says_what_would_be_done(cli_format, old, in_tmp):
    code, out, _ = cli_format("migrate", "--dry-run", old)
    assert code == 0
    assert "would migrate" in out
    assert [path.name for path in (in_tmp / old).iterdir()] == ["latest.pt"]


def test_all_and_output_do_not_go_together(refused, old):
    refused("format", "migrate", "--all", old, "--output", "x", code=2)


def test_what_is_no_checkpoint_is_refused(refused, tmp_path):
    assert "is not a checkpoint" in refused("format", "migrate", tmp_path)


def test_a_reader_option_without_a_value_is_refused(refused, old):
    assert "NAME=VALUE" in refused("format", "migrate", old, "--option", "lora_alpha", code=2)


def test_a_legacy_file_is_used_as_it_is_when_named(cli, refused, old, fixtures, in_tmp):
    final = fixtures / "mypt" / "legacy_final_char" / "final.pt"
    shutil.copyfile(final, in_tmp / old / "final.pt")
    named = ("--model_name", "old", "--legacy_checkpoint")
    assert "Legacy format" in cli("inspect", *named, "final.pt")[1]
    code, out, _ = cli("generate", *named, "final.pt", "--prompt", "Nel", "--temperature", "0")
    assert code == 0
    assert out != cli("generate", "--model_name", "old", "--prompt", "Nel", "--temperature", "0")[1]
    line = refused("generate", *named, "fin.pt", code=2)
    assert "available: final.pt, latest.pt" in line


def test_a_tree_that_is_not_there_is_no_empty_one(cli_format, in_tmp):
    code, out, _ = cli_format("migrate", "--all", "chekpoints")
    assert code == 1
    assert "chekpoints: does not exist; name a checkpoint" in out


@pytest.mark.parametrize("more", [("--all",), ("--option", "chars=[]")])
def test_version_1_is_written_of_one_bundle_as_it_is(refused, old, more):
    line = refused("format", "migrate", "--to", "1", old, *more, code=2)
    assert "cannot be used with --all or --option" in line


def test_version_1_may_be_written_to_a_new_place(cli_format, bundle, in_tmp):
    code, _, err = cli_format("migrate", "--to", "1", bundle, "--output", "some/where/new")
    assert code == 0, err
    assert (in_tmp / "some" / "where" / "new" / "model.pt").exists()
