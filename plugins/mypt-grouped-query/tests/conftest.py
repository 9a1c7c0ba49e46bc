"""The commands of mypt, as a user gives them."""

import pytest
import torch

import mypt
from mypt.cli.main import main

TINY = ["--n_layer", "2", "--n_embd", "24", "--n_head", "4", "--block_size", "12"]
TINY += [
    "--tokenization",
    "char",
    "--batch_size",
    "2",
    "--eval_interval",
    "5",
    "--eval_iters",
    "1",
    "--dropout",
    "0.1",
]


@pytest.fixture
def run_mypt(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def whole_life(run_mypt, tmp_path):
    """Train, resume, validate and use a model whose architecture the flags choose."""

    def live(*flags):
        (tmp_path / "text.txt").write_text("the cat sat on the mat, twice. " * 40)

        steps = ("--max_iters", "20", "--snapshot_interval", "10")
        text = ("--input_file", "text.txt")
        code, _, said = run_mypt("train", "--model_name", "whole", *steps, *text, *TINY, *flags)
        assert code == 0, said
        (snapshot,) = (tmp_path / "checkpoints").glob("whole?*10")
        snapshot.rename(tmp_path / "checkpoints" / "resumed")
        code, _, said = run_mypt("train", "--model_name", "resumed")
        assert code == 0, said
        whole, resumed = (mypt.load(name) for name in ("whole", "resumed"))
        for name, tensor in whole.state_dict().items():
            assert torch.equal(tensor, resumed.state_dict()[name]), name
        code, out, said = run_mypt("format", "validate", "checkpoints/whole")
        assert code == 0, out + said
        texts = {whole.generate("the", 30, seed=1, use_cache=use) for use in (True, False)}
        assert len(texts) == 1
        code, out, said = run_mypt("generate", "--model_name", "whole", "--prompt", "the")
        assert code == 0, said
        return whole

    return live
