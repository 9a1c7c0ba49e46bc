"""Every example in the reference of hooks is registered, built and used."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import mypt
import mypt.plugins
import mypt.testing
from mypt.data.input_files import read_input
from mypt.data.sources.choice import SourceChoice
from mypt.data.sources.input_source import InputSource
from mypt.engine.config.overrides import build_config
from mypt.format.bundle.plugin_updates import update_document
from mypt.format.errors import ConfigError, FormatError
from mypt.plugins import Evaluation, RunInfo
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from mypt.testing import (
    check_command,
    check_data_source,
    check_guard,
    check_logit_processor,
    check_loss,
    check_optimizer,
    check_part,
    check_reader,
    check_schedule,
    check_sink,
    check_tokenizer,
    check_update,
)
from mypt.testing.sinks import ending_events, run_events
from mypt.tokenizers.char import CharTokenizer

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


def test_the_optimizer_keeps_its_contract(example):
    factory = example("An optimizer").optimizers["signs"]
    names = {name for entry in check_optimizer(factory).values() for name in entry}
    assert names == {"momentum", "updates"}


def test_the_data_source_reads_documents_with_its_options(example, in_tmp):
    plugins = example("A data source")
    (in_tmp / "two.story").write_text("One.\n***\nTwo.\n")
    factory = plugins.data_source("story")
    assert check_data_source(factory, in_tmp / "two.story") == ["One.\n", "Two.\n"]
    choice = SourceChoice.of(plugins, None, {"separator": "---"})
    assert choice.find(InputSource(in_tmp / "two.story")) is factory
    (in_tmp / "other.story").write_text("One.\n---\nTwo.\n")
    assert read_input(["other.story"], choice).text == "One.\nTwo.\n"
    assert len([*read_input(["other.story"], choice).documents()]) == 2


def test_the_loss_is_that_of_one_position(example):
    factory = example("A training loss").losses["focal"]
    assert (check_loss(factory) < check_loss(factory, {"gamma": 0})).all()


def test_the_schedule_falls_in_stairs(example):
    factory = example("A learning-rate schedule").schedules["stairs"]
    factors = check_schedule(factory, {"every": 50, "factor": 0.25})
    assert factors == [1.0] * 50 + [0.25] * 50 + [0.0625]


def test_the_part_that_has_changed_takes_names_and_settings_of_then(example):
    plugins = example("A part whose name and settings have changed")
    document = {"mlp_type": "leaky", "plugins": {"my-old-package": {"percent": 5}}}
    updated, notes = update_document(document, "config.json", plugins.settings, {})
    assert updated == {"mlp_type": "leaky_relu", "plugins": {"my-package": {"slope": 0.05}}}
    assert len(notes) == 3
    factory = plugins.parts["mlp_type", "leaky_relu"]
    check_update(factory, {"percent": 5}, {"slope": 0.05}, version="1.4")


def test_the_command_counts(example, bundle):
    factory = example("A command").command("count")
    count = mypt.get_model_info(bundle)["parameters"]
    assert check_command(factory, [str(bundle), "--times", "2"]) == f"{count}\n" * 2
    assert "--times" in check_command(factory)


def test_the_logit_processor_decides_what_is_written(example):
    plugins = example("A logit processor")
    tokenizer = CharTokenizer.train("0123456789 ab")
    check_logit_processor(plugins.logit_processors["digits"], tokenizer, {"count": 4})
    model = mypt.GPT(mypt.GPTConfig(**TINY), tokenizer, plugins=plugins)
    named = {"digits": {"count": 4}}
    (one,) = model.generate_many(["a"], 9, processors=named)
    assert len(one.text) == 4
    assert one.text.isdecimal()
    assert one.stopped_by == "digits"
    (cut,) = model.generate_many(["a"], 3, processors=named)
    assert cut.unfinished == ("digits",)
    bare = mypt.GPT(mypt.GPTConfig(**TINY), CharTokenizer.train("ab"), plugins=plugins)
    with pytest.raises(ConfigError, match="which this vocabulary lacks"):
        bare.generate("a", 3, processors=named)


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
    "A block": ("block_type", "chained"),
    "An embedding and a head": ("embedding_type", "wide"),
    "A stack": ("stack_type", "recalling"),
}


@pytest.mark.parametrize("title", PARTS)
def test_every_part_does_what_a_part_must(example, title):
    check_part(example(title).part(*PARTS[title]))


def test_the_head_does_what_a_part_must(example):
    check_part(example("An embedding and a head").part("head_type", "steady"))


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


@pytest.fixture
def theirs(tmp_path):
    """What the program of the page saves, and the logits of its model."""
    import torch

    model = mypt.GPT(mypt.GPTConfig(**TINY, head_bias=True)).eval()
    names = {"token_embedding_table.weight": "embed", "position_embedding_table.weight": "places"}
    names["lm_head.weight"] = "head"
    arrays = {names.get(name, name): t.numpy() for name, t in model.state_dict().items()}
    np.savez(tmp_path / "theirs.npz", **arrays)
    idx = torch.arange(8)[None]
    with torch.no_grad():
        return tmp_path / "theirs.npz", idx, model(idx)


def test_the_reader_does_what_a_reader_must(example, theirs):
    import torch

    path, idx, logits = theirs
    reader = example("A legacy reader").readers["my_program"]
    model = check_reader(reader, path, {"n_head": 2})
    with torch.no_grad():
        assert torch.equal(model(idx), logits)


def test_the_reader_takes_thirty_lines(page):
    block = blocks_of(page)["A legacy reader"]
    code, _, _ = block.partition("@hookimpl")
    lines = [line for line in code.splitlines() if line and '"""' not in line]
    assert len(lines) <= 30, len(lines)


def test_the_reader_asks_for_what_the_file_leaves_open(example, theirs):
    plugins, (path, _, _) = example("A legacy reader"), theirs
    with pytest.raises(FormatError, match=r"does not say n_head \(heads of each layer\); supply"):
        mypt.load(path, plugins=plugins)
    assert mypt.load(path, plugins=plugins, options={"n_head": 2}).config.n_head == 2
