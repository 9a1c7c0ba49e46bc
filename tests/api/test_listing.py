"""Every checkpoint below a folder is listed, with what it records, in whatever state it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mypt
from mypt.format.discover import find_checkpoints
from mypt.format.tensors.pickles import pickle_reader
from mypt.format.validate import is_valid, validate

FIELDS = (
    *("path", "name", "format", "written_by", "parameters", "step", "best_loss", "best_step"),
    *("size_bytes", "run_id", "copy_of", "modified", "copy_kind", "valid", "problem"),
)


def listed(folder, plugins):
    """Return the objects by their names, in their order."""
    found = mypt.list_checkpoints(folder, plugins=plugins)
    assert all(tuple(one) == FIELDS for one in found)
    return {one["name"]: one for one in found}


def age(path, seconds):
    """Make the files of a checkpoint older."""
    for file in [path] if path.is_file() else path.iterdir():
        found = file.stat()
        os.utime(file, (found.st_atime, found.st_mtime - seconds))


@pytest.fixture
def copied(bundle, tmp_path):
    """A folder with copies of a bundle by the given names; the first is the newest."""

    def copy(*names, source=bundle):
        for number, name in enumerate(names):
            shutil.copytree(source, tmp_path / "all" / name)
            age(tmp_path / "all" / name, 100 * number)
        return tmp_path / "all"

    return copy


def test_a_bundle_says_what_get_model_info_says(copied, plugins):
    one = listed(copied("cat"), plugins)["cat"]
    info = mypt.get_model_info(one["path"], plugins=plugins)
    shared = ("format", "written_by", "parameters", "step", "best_loss", "best_step")
    shared += ("size_bytes", "run_id", "copy_of")
    assert {field: one[field] for field in shared} == {field: info[field] for field in shared}
    assert one["written_by"] == f"mypt {mypt.__version__}"
    assert one["best_loss"] == info["training_state"]["gold"]["best_val_loss"]
    assert one["size_bytes"] == sum(info["files"].values())
    assert (one["step"], one["valid"], one["problem"], one["copy_kind"]) == (60, True, None, None)
    assert one["modified"].endswith("Z")


def test_what_is_not_recorded_is_none(copied, plugins):
    folder = copied("cat")
    for name in ("training_state.json", "manifest.json", "optimizer.pt"):
        (folder / "cat" / name).unlink()
    one = listed(folder, plugins)["cat"]
    unknown = {name for name, value in one.items() if value is None}
    assert unknown == {
        *("written_by", "step", "best_loss", "best_step", "run_id", "copy_of", "copy_kind"),
        "problem",
    }
    assert one["valid"]


def test_every_format_is_listed_and_is_valid_where_validate_says_so(fixtures, plugins):
    readers = tuple(plugins.readers.values())
    found = mypt.list_checkpoints(fixtures, plugins=plugins)
    assert {one["path"] for one in found} == set(map(str, find_checkpoints(fixtures, readers)))
    assert {one["format"] for one in found} >= set(plugins.readers) - {
        "peft",
        "sharded_save",
    }  # not handed
    for one in found:
        problems = validate(Path(one["path"]), plugins.layouts, readers, settings=plugins.settings)
        assert one["valid"] is is_valid(problems), (one, problems)
        assert one["valid"] is (one["problem"] is None)


def test_what_another_program_leaves_to_be_asked_for_hides_nothing_else(
    fixtures, plugins, tmp_path
):
    (tmp_path / "poem").mkdir()
    shutil.copy(fixtures / "foreign" / "nanogpt_char" / "ckpt.pt", tmp_path / "poem")
    one = listed(tmp_path, plugins)["poem"]
    assert (one["format"], one["step"], one["valid"]) == ("nanogpt", 600, False)
    assert one["problem"].startswith("needs an option: ckpt.pt does not hold the characters")


def test_what_does_not_open_is_listed_with_the_reason(copied, plugins):
    folder = copied("cut", "changed", "piped", "empty", "noted")
    model = folder / "cut" / "model.pt"
    model.write_bytes(model.read_bytes()[:-50])
    config = folder / "changed" / "config.json"
    config.write_text(config.read_text().replace('"n_layer": 2', '"n_layer": 9'))
    (folder / "piped" / "tokenizer.json").unlink()
    os.mkfifo(folder / "piped" / "tokenizer.json")
    (folder / "empty" / "config.json").write_text("")
    (folder / "noted" / "optimizer.pt").write_bytes(b"")
    (folder / "gone.pt").symlink_to(folder / "nothing.pt")
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("mine")
    (folder / "sub" / "circle").symlink_to(folder)
    found = listed(folder, plugins)
    assert {name: one["problem"] for name, one in found.items()} == {
        "cut": f"model.pt is {model.stat().st_size} bytes, but was saved with "
        f"{model.stat().st_size + 50}",
        "changed": "config.json#/n_layer is 9, but model.pt holds 2 blocks",
        "piped": "tokenizer.json is not a regular file",
        "empty": "config.json is empty, as an interrupted copy leaves it",
        "noted": found["noted"]["problem"],
        "gone.pt": "does not exist",
    }
    assert found["noted"]["problem"].endswith("; only training needs it")
    assert found["noted"]["step"] == 60
    assert not any(one["valid"] for one in found.values())
    assert found["cut"]["size_bytes"] > model.stat().st_size


def test_a_folder_that_cannot_be_looked_into_is_listed(copied, plugins, monkeypatch):
    folder = copied("cat", "locked")
    looked = Path.iterdir

    def iterdir(path):
        if path.name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    (folder / "shut").mkdir()
    monkeypatch.setattr(Path, "iterdir", iterdir)
    one = listed(folder, plugins)["shut"]
    assert (one["valid"], one["problem"]) == (False, "cannot be read: Permission denied")


def test_a_checkpoint_that_may_not_be_looked_into_is_no_file_s_fault_nor_of_1970(
    copied, cli, plugins, monkeypatch
):
    folder = copied("cat", "shut")
    looked, measured = Path.iterdir, Path.stat

    def deny(path):
        raise PermissionError(13, "Permission denied", str(path))

    def stat(path, **options):
        return deny(path) if path.parent.name == "shut" else measured(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(Path, "iterdir", lambda p: deny(p) if p.name == "shut" else looked(p))
    one = listed(folder, plugins)["shut"]
    assert one["problem"] == "cannot be read: Permission denied"
    assert (one["modified"], one["size_bytes"]) == (None, None)
    code, out, _ = cli("list", str(folder))
    assert (code, "shut  not valid: cannot be read: Permission denied" in out) == (0, True)
    (problem,) = validate(folder / "shut")
    assert problem.file == str(folder / "shut")
    with pytest.raises(PermissionError, match=r"all/shut'$"):
        mypt.get_model_info(folder / "shut", plugins=plugins)


def test_the_copies_that_a_run_makes_follow_their_model(train, plugins, in_tmp):
    train("cat", snapshot_interval=4, keep_snapshots=2)
    shutil.copytree("checkpoints/cat_gold", "checkpoints/best")
    found = listed("checkpoints", plugins)
    relations = {name: (one["copy_kind"], one["copy_of"]) for name, one in found.items()}
    assert relations == {
        "cat": (None, None),
        "cat_step00000008": ("step", "checkpoints/cat"),
        "best": ("copy", "checkpoints/cat"),
        "cat_gold": ("gold", "checkpoints/cat"),
        "cat_step00000012": ("step", "checkpoints/cat"),
    } | {name: ("fp16", "checkpoints/cat") for name in found if name.endswith("fp16")}
    assert next(iter(found)) == "cat"
    shutil.move("checkpoints/cat", "elsewhere")
    assert listed("checkpoints", plugins)["cat_gold"]["copy_of"] == "cat"


def test_copies_that_people_make_and_links_are_told(copied, bundle, plugins):
    folder = copied("cat", "old", "backup")
    (folder / "best").symlink_to(folder / "old")
    (folder / "elsewhere").symlink_to(bundle)
    found = listed(folder, plugins)
    oldest = str(folder / "backup")
    assert {name: (one["copy_kind"], one["copy_of"]) for name, one in found.items()} == {
        "backup": (None, None),
        "cat": ("same weights", oldest),
        "old": ("same weights", oldest),
        "best": ("link", str(folder / "old")),
        "elsewhere": ("link", str(bundle)),
    }


def test_the_models_that_were_saved_last_come_first(copied, plugins, tmp_path, save_other):
    folder = copied("old_copy")
    save_other(folder / "newer")
    age(folder / "old_copy", 1000)
    save_other(folder / "newest", width=16)
    age(folder / "newer", 10)
    assert list(listed(folder, plugins)) == ["newest", "newer", "old_copy"]


@pytest.fixture
def save_other(plugins):
    """Save another model."""

    def save(folder, width=8):
        tokenizer = plugins.tokenizer("char").trained_on(["abc"])
        config = mypt.GPTConfig(
            n_layer=1, n_head=1, n_embd=width, block_size=8, vocab_size=tokenizer.vocab_size
        )
        mypt.GPT(config, tokenizer).save(folder)

    return save


def test_names_are_those_below_the_folder(copied, plugins, monkeypatch):
    folder = copied("deep/down/cat")
    assert list(listed(folder, plugins)) == ["deep/down/cat"]
    assert list(listed(folder / "deep" / "down" / "cat", plugins)) == ["cat"]
    monkeypatch.chdir(folder)
    assert [one["path"] for one in mypt.list_checkpoints(".", plugins=plugins)] == ["deep/down/cat"]


def test_the_config_of_a_project_does_not_hide_its_checkpoints(copied, plugins):
    folder = copied("checkpoints/cat")
    (folder / "config.json").write_text('{"name": "my project"}')
    assert list(listed(folder, plugins)) == ["checkpoints/cat"]
    assert validate(folder, plugins.layouts, tuple(plugins.readers.values())) == []


def test_files_of_weights_in_capital_letters_are_listed(fixtures, plugins, tmp_path):
    for name, renamed in {"ckpt.pt": "CKPT.PT", "meta.pkl": "meta.pkl"}.items():
        shutil.copy(fixtures / "foreign" / "nanogpt_char" / name, tmp_path / renamed)
    one = listed(tmp_path, plugins)["CKPT.PT"]
    assert (one["format"], one["valid"]) == ("nanogpt", True)


def test_no_checkpoints_yet_is_an_empty_list_and_a_folder_that_is_none_an_error(in_tmp):
    assert mypt.list_checkpoints() == []
    with pytest.raises(mypt.UsageError, match="there is no folder `nowhere`"):
        mypt.list_checkpoints("nowhere")


def test_neither_torch_nor_numpy_is_imported(copied):
    code = "import mypt, sys; mypt.list_checkpoints(sys.argv[1]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(copied("cat", "gold"))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"torch", "numpy"}.isdisjoint(done.stdout.split())


def test_many_models_in_one_folder_are_looked_at_once_each(copied, plugins, monkeypatch):
    folder = copied(*map(str, range(12)))
    pickle_reader._read_small_pickle.cache_clear()
    listings, headers = [], []
    look, run = Path.iterdir, pickle_reader.Interpreter.run
    monkeypatch.setattr(Path, "iterdir", lambda path: listings.append(path) or look(path))
    monkeypatch.setattr(
        pickle_reader.Interpreter, "run", lambda machine: headers.append(1) or run(machine)
    )
    assert len(listed(folder, plugins)) == 12
    assert listings.count(folder) <= 2  # for a misnamed file, and for what is in it
    assert len(headers) == 2
