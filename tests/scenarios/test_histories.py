"""One run by the command line and from Python, and other models where it lies."""

import pytest

import mypt
from mypt.format.storage.generations import read_manifest


@pytest.fixture
def loader(text):
    def call(model):
        return mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="input.txt")

    return call


def test_a_run_goes_on_in_python_and_by_the_command_line(train, in_tmp, loader, digests, stop_at):
    train("whole")
    for step in (3, 7):
        stop_at(step)
        train("cat")
    stop_at(None)
    model = mypt.load("cat")
    assert model.history.step == 7
    stop_at(9)
    state = model.fit(loader(model), checkpoint_dir="checkpoints/cat", quiet=True)
    stop_at(None)
    assert (state.step, state.exact) == (9, True)
    assert train("cat").exact
    assert digests("cat") == digests("whole")


def test_what_a_command_trained_is_not_replaced_from_python(train, in_tmp, loader):
    train("cat")
    before = read_manifest(in_tmp / "checkpoints" / "cat")
    model = mypt.GPT(mypt.load("cat").config, mypt.load("cat").tokenizer)
    for attempt in (
        lambda: model.save("checkpoints/cat"),
        lambda: mypt.load("cat").save("checkpoints/cat"),
        lambda: model.save_checkpoint_bundle("checkpoints/cat", step=99),
        lambda: model.fit(loader(model), checkpoint_dir="checkpoints/cat", max_iters=2),
        lambda: mypt.load("cat").fit(
            loader(model), checkpoint_dir="checkpoints/cat", max_iters=2, start_step=0
        ),
    ):
        with pytest.raises(mypt.SaveError, match="overwrite=True"):
            attempt()
    assert read_manifest(in_tmp / "checkpoints" / "cat") == before


def test_a_model_that_lost_its_state_does_not_replace_gold(train, in_tmp):
    train("cat")
    (in_tmp / "checkpoints" / "cat" / "training_state.json").unlink()
    (in_tmp / "checkpoints" / "cat" / "manifest.json").unlink()
    with pytest.raises(mypt.UsageError, match="cat_gold: is the gold copy of another run"):
        train("cat")


def test_snapshots_of_another_run_are_not_removed(train, in_tmp):
    train("cat", snapshot_interval=4)
    (in_tmp / "checkpoints" / "cat").rename(in_tmp / "checkpoints" / "kept")
    kept = [in_tmp / "checkpoints" / f"cat_step{step:08d}" for step in (4, 8)]
    before = [read_manifest(folder) for folder in kept]
    options = {"snapshot_interval": 3, "keep_snapshots": 1, "overwrite": True}
    train("cat", **options, max_iters=11)
    assert [read_manifest(folder) for folder in kept] == before
    assert not (in_tmp / "checkpoints" / "cat_step00000006").exists()
    assert (in_tmp / "checkpoints" / "cat_step00000009").exists()


def test_copies_of_another_run_are_replaced_where_a_flag_says_so(train, in_tmp, refused, cli):
    train("cat", snapshot_interval=6)
    (in_tmp / "checkpoints" / "cat").rename(in_tmp / "checkpoints" / "kept")
    before = read_manifest(in_tmp / "checkpoints" / "cat_gold")
    command = ["train", "--model_name", "cat", "--input_file", "input.txt", "--max_iters", 2]
    command += ["--tokenization", "char", "--n_layer", 1, "--n_embd", 8, "--n_head", 1]
    command += ["--block_size", 8, "--eval_iters", 1, "--device", "cpu"]
    line = refused(*command, code=2)
    assert "checkpoints/cat_gold: is the gold copy of another run of cat, at its step" in line
    assert "pass --overwrite" in line
    assert read_manifest(in_tmp / "checkpoints" / "cat_gold") == before
    code, _, err = cli(*command, "--overwrite")
    assert (code, err) == (0, "")
    assert mypt.load("cat_gold").config.n_layer == 1
    assert mypt.get_model_info("cat_step00000006")["training_state"]["step"] == 6


def test_a_model_that_was_renamed_with_its_copies_goes_on(train, in_tmp):
    train("cat", snapshot_interval=4)
    folder = in_tmp / "checkpoints"
    for place in sorted(folder.glob("cat*")):
        place.rename(folder / place.name.replace("cat", "dog"))
    copies = mypt.get_model_info("dog")["copies"]
    assert len(copies) == 5  # gold, fp16, three snapshots
    state = train("dog", snapshot_interval=4, keep_snapshots=1, max_iters=16)
    assert state.step == 16
    assert sorted(path.name[-2:] for path in folder.glob("dog_step*")) == ["16"]


def test_the_last_lines_of_a_run_name_no_gold_that_is_not_there(train, in_tmp, cli):
    train("cat", learning_rate=1e-3)
    (in_tmp / "checkpoints" / "cat").rename(in_tmp / "checkpoints" / "dog")
    worse = ["--max_iters", 20, "--learning_rate", 9.0, "--eval_interval", 10]
    code, out, err = cli("train", "--model_name", "dog", *worse)
    assert code == 0, err
    assert not (in_tmp / "checkpoints" / "dog_gold").exists()
    assert "Best (GOLD)" not in out
    assert "No GOLD checkpoint in checkpoints/dog_gold: none was better than before (step" in out


def test_a_run_in_the_folder_of_today_has_its_copies_beside_it(in_tmp, loader, monkeypatch, train):
    model = mypt.GPT(mypt.load(train("cat") and "cat").config, mypt.load("cat").tokenizer)
    for name, folder in (("one", "."), ("two/inner", "..")):
        (in_tmp / name).mkdir(parents=True)
        monkeypatch.chdir(in_tmp / name)
        model.fit(loader(model), checkpoint_dir=folder, max_iters=2, start_step=0, quiet=True)
    assert (in_tmp / "one_fp16" / "model.pt").exists()
    assert (in_tmp / "two_fp16" / "model.pt").exists()
