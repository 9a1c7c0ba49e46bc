"""Every example in the reference of hooks is registered, built and used."""

import json
import re
from types import SimpleNamespace

import pytest

import mypt
from mypt.engine.options import checked_config
from mypt.format.errors import ConfigError, DataError
from mypt.plugins import Evaluation, RunInfo
from mypt.plugins.faults import Source
from mypt.plugins.manager import load_plugins

TINY = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 256}


@pytest.fixture
def example(root):
    """Register the example under a heading, as the package `my-package`."""
    page = (root / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^## (.*?)$.*?^```python\n(.*?)^```$", page, re.M | re.S))

    def register(title):
        names = {}
        exec(compile(blocks[title], title, "exec"), names)
        hooks = {name: value for name, value in names.items() if name.startswith("mypt_")}
        plugins = load_plugins()
        plugins.register(SimpleNamespace(**hooks), Source("mine", "my-package", "1.0"))
        return plugins

    return register


def test_the_norm_is_used(example):
    plugins = example("A norm")
    model = mypt.GPT(mypt.GPTConfig(**TINY, norm_type="none"), plugins=plugins)
    assert not any("ln" in name for name in model.state_dict())


def test_the_part_with_settings_is_used_and_its_settings_are_checked(example):
    plugins = example("A part with settings")
    config = mypt.GPTConfig(**TINY, mlp_type="leaky", plugins={"my-package": {"slope": 0.5}})
    model = mypt.GPT(config, plugins=plugins)
    assert model.blocks[0].fwd.act.negative_slope == 0.5
    wrong = {**TINY, "mlp_type": "leaky", "plugins": {"my-package": {"slope": -1}}}
    with pytest.raises(ConfigError, match="plugins/my-package/slope"):
        mypt.GPT(checked_config(wrong, plugins.layouts), plugins=plugins)


def test_the_guard_judges(example):
    judge = example("A gold guard").guards["below"].build({"limit": 3.0})
    assert judge(Evaluation(1, 1.0, 2.0), {}).reason is None
    assert judge(Evaluation(1, 1.0, 4.0), {}).reason == "val_loss above 3.0"


def test_the_sink_listens(example, capsys):
    sink = example("A log sink").sinks["losses"].build(RunInfo("m", None))
    sink.emit({"event": "eval", "val_loss": 2.5})
    sink.close()
    assert capsys.readouterr().out == "[2.5]\n"


def test_the_tokenizer_is_trained_and_rebuilt(example):
    factory = example("A tokenizer").tokenizers["bytes"]
    tokenizer = factory.build(factory.train("x").state())
    assert tokenizer.decode(tokenizer.encode("né")) == "né"


def test_the_reader_opens_what_it_recognises(example, tmp_path):
    import torch

    plugins = example("A legacy reader")
    config = mypt.GPTConfig(**TINY)
    (tmp_path / "my_program.json").write_text(json.dumps({**TINY, "batch_size": 2}))
    torch.save(mypt.GPT(config).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(DataError, match="alpha"):
        mypt.load(tmp_path, plugins=plugins)
    model = mypt.load(tmp_path, plugins=plugins, options={"alpha": 1.0})
    assert model.config.batch_size == 2
