"""Every example in the reference of hooks is registered, built and used."""

import json
import re
from types import SimpleNamespace

import pytest

import mypt
import mypt.plugins
import mypt.testing
from mypt.engine.config.overrides import build_config
from mypt.format.errors import ConfigError, DataError
from mypt.plugins import Evaluation, RunInfo
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from mypt.testing import check_guard, check_part, check_sink, check_tokenizer
from mypt.testing.sinks import ending_events, run_events

TINY = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 256}


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")


def blocks_of(page):
    """Give the Python example under each heading that has one."""
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    found = {
        section.partition("\n")[0]: re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
        for section in sections
    }
    return {title: blocks[0] for title, blocks in found.items() if blocks}


@pytest.fixture
def example(page):
    """Register the example under a heading, as the package `my-package`."""
    blocks = blocks_of(page)

    def register(title):
        names = {}
        exec(compile(blocks[title], title, "exec"), names)
        hooks = {name: value for name, value in names.items() if name.startswith("mypt_")}
        plugins = load_plugins()
        plugins.register(SimpleNamespace(**hooks), PluginOrigin("mine", "my-package", "1.0"))
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
        mypt.GPT(build_config(wrong, plugins.layouts), plugins=plugins)


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
    tokenizer = check_tokenizer(factory)
    assert tokenizer.decode(tokenizer.encode("né")) == "né"


def test_the_tokenizer_that_learns_takes_its_options(example):
    factory = example("A tokenizer that learns").tokenizers["words"]
    check_tokenizer(factory, is_lossless=False)
    tokenizer = check_tokenizer(factory, options={"n_words": 4}, is_lossless=False)
    assert tokenizer.n_vocab == 5
    with pytest.raises(ConfigError, match="plugins/n_words"):
        factory.trained_on(["a text"], {"n_words": "many"})


PARTS = {
    "A norm": ("norm_type", "none"),
    "A part with settings": ("mlp_type", "leaky"),
    "A position encoding": ("pos_encoding", "waves"),
    "An attention": ("attention_type", "single"),
    "A block": ("block_type", "parallel"),
}


@pytest.mark.parametrize("title", PARTS)
def test_every_part_does_what_a_part_must(example, title):
    check_part(example(title).part(*PARTS[title]))


def test_the_guard_and_the_sink_do_what_they_must(example, capsys):
    check_guard(example("A gold guard").guards["below"], {"limit": 2.5})
    check_sink(example("A log sink").sinks["losses"])


def test_the_test_of_the_kit_runs(page):
    names = {}
    exec(compile(blocks_of(page)["The kit for your tests"], "kit", "exec"), names)
    names["test_only_the_first_passes"]()


def test_the_whole_kit_and_all_that_authors_import_is_there(page):
    for name in (*mypt.testing.__all__, *mypt.plugins.__all__):
        assert re.search(rf"\b{name}\b", page), name


def test_every_event_and_field_that_a_sink_hears_is_there(page):
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", page, re.M))
    for event in (*run_events(0, 40), *ending_events(40)):
        if event["event"] == "of_a_later_version":
            continue
        fields = event.keys() - {"event", "timestamp"}
        fields = {"eval_<set>" if field == "eval_books" else field for field in fields}
        assert fields <= {*re.findall(r"`([\w<>]+)`", rows[event["event"]])}, event["event"]


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
