"""Every door that reads opens a bundle again where a run saves it between opening and reading."""

import itertools
import shutil

import pytest

import mypt
from mypt.engine.config.precedence import TrainRequest
from mypt.engine.training.launch import run_training
from mypt.format.bundle.read import Bundle
from mypt.format.errors import FormatError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import committed_files, read_manifest

TINY = {"block_size": 16, "n_embd": 8, "n_head": 2, "n_layer": 1, "batch_size": 2}


@pytest.fixture
def cat(in_tmp, text, plugins):
    """A model that every door can read, in `checkpoints/`."""
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(**TINY, head_bias=False, vocab_size=tokenizer.vocab_size)
    folder = in_tmp / "checkpoints" / "cat"
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    stop = {"max_iters": 2, "eval_iters": 1, "quiet": True}
    mypt.GPT(config, tokenizer).fit(loader, checkpoint_dir=folder, **stop)
    return folder


def save_again(folder):
    """Commit the same files as the next generation."""
    manifest, paths = committed_files(folder)
    with open_for_writing(folder) as writer:
        writer.commit(
            {name: path.read_bytes() for name, path in paths.items()},
            written_by=manifest.written_by,
            plugins=manifest.plugins,
        )


@pytest.fixture
def saved_meanwhile(cat, monkeypatch):
    """Give what lets a run save a model so many times, each time when a tensor file is opened."""
    use = Bundle.with_file

    def call(times, cat=cat):
        left = iter(range(times)) if times is not None else itertools.count()

        def with_file(self, name, action):
            if self.folder.resolve() == cat.resolve() and next(left, None) is not None:
                save_again(cat)
            return use(self, name, action)

        monkeypatch.setattr(Bundle, "with_file", with_file)

    return call


def train_from(plugins, text, folder):
    (folder / "input.txt").write_text(text)
    training = {"input_file": "input.txt", "max_iters": 1, "eval_iters": 1}
    training["init_from_model"] = "cat"
    run_training(TrainRequest(model_name="kitten", training=training), plugins, quiet=True)
    lineage = mypt.get_model_info("kitten")["training_state"]["lineage"]
    assert (
        lineage[0]["sha256"] == read_manifest(folder / "checkpoints/cat").files["model.pt"].sha256
    )


def test_a_model_is_loaded(saved_meanwhile):
    saved_meanwhile(3)
    assert mypt.load("cat").generate("the", 1)
    saved_meanwhile(3)
    assert mypt.GPT.load("cat").generate("the", 1)


def test_a_model_is_loaded_to_be_trained(saved_meanwhile, text):
    saved_meanwhile(3)
    manager = mypt.CheckpointManager("cat")
    assert manager.initialize_for_training(mypt.GPTConfig(), "char", text)[2] == 2


def test_the_weights_of_a_model_begin_another_one(saved_meanwhile, plugins, text, in_tmp):
    saved_meanwhile(3)
    train_from(plugins, text, in_tmp)


@pytest.mark.parametrize(
    "command",
    [
        ("generate", "--model_name", "cat", "--prompt", "the", "--max_new_tokens", 2),
        ("export", "--to", "hf", "--model_name", "cat", "--output", "out"),
        ("compare", "cat", "other", "--prompt", "the", "--max_new_tokens", 2),
        ("inspect", "--model_name", "cat"),
        ("format", "validate", "checkpoints/cat", "--checksums"),
    ],
)
def test_a_command_reads_it(saved_meanwhile, cat, cli, command):
    shutil.copytree(cat, cat.with_name("other"))
    saved_meanwhile(3)
    code, out, err = cli(*command)
    assert (code, err) == (0, ""), out


def test_a_model_is_written_for_the_earlier_mypt(saved_meanwhile, bundle, in_tmp, cli):
    old = shutil.copytree(bundle, in_tmp / "old")
    saved_meanwhile(3, old)
    code, out, err = cli("format", "migrate", old, "--to", "1")
    assert (code, err) == (0, ""), out


def test_a_comparison_shows_the_settings_of_what_it_scored(saved_meanwhile, plugins, cat):
    from mypt.comparison.results import try_models
    from mypt.comparison.settings import open_sides
    from mypt.model.decoding.sampling_options import Sampling

    sides = open_sides(["cat"], plugins)
    save_again(cat)
    wanted = {"held_out": None, "prompt": "the", "max_new_tokens": 1, "sampling": Sampling()}
    (result,) = try_models(sides, plugins, "cpu", **wanted)
    assert result.side.opened.manifest == read_manifest(cat) != sides[0].opened.manifest


def test_a_bundle_that_never_settles_says_so(saved_meanwhile):
    saved_meanwhile(None)
    with pytest.raises(FormatError, match="was saved anew since it was opened; open it again"):
        mypt.load("cat")
