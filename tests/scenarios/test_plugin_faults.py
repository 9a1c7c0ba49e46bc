"""What a plugin offers fails with one line that names it, wherever it is used."""

import json
import math
from types import SimpleNamespace

import pytest
from torch import nn

import mypt
from mypt.api.info import get_model_info
from mypt.engine.evaluation.gold import build_guards, decide
from mypt.format.documents.training import GoldMemory
from mypt.format.errors import ConfigError, FormatError, MyptError, PluginError, Problem
from mypt.format.validate import validate
from mypt.plugins import (
    Evaluation,
    ExporterFactory,
    GuardFactory,
    PartFactory,
    ReaderFactory,
    RunInfo,
    SinkFactory,
    TokenizerFactory,
    Verdict,
    hookimpl,
)
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

TINY = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 2, "vocab_size": 16, "batch_size": 2}


def fail(*_):
    raise RuntimeError("not today\nnor tomorrow")


def leave(*_):
    raise SystemExit(3)


def with_plugin(*factories):
    """Give the built-in plugins and one of acme-mine."""
    hooks = {
        PartFactory: "mypt_parts",
        TokenizerFactory: "mypt_tokenizers",
        GuardFactory: "mypt_gold_guards",
        SinkFactory: "mypt_log_sinks",
        ReaderFactory: "mypt_legacy_readers",
        ExporterFactory: "mypt_exporters",
    }
    offered = {hooks[type(factory)]: hookimpl(lambda f=factory: [f]) for factory in factories}
    plugins = load_plugins()
    plugins.register(SimpleNamespace(**offered), PluginOrigin("mine", "acme-mine", "1.0"))
    return plugins


def assert_named(error, function):
    (problem,) = error.problems
    assert problem.severity == "error"
    line = str(problem)
    assert line.startswith(f"plugin mine of acme-mine 1.0: failed in `{function}` of its ")
    assert "RuntimeError: not today;" in line
    assert "mypt --disable-plugin mine" in line


def test_a_tokenizer_that_cannot_be_built_or_trained():
    factory = TokenizerFactory("mine", build=fail, train=fail, train_pieces=fail)
    factory = with_plugin(factory).tokenizer("mine")
    for function in ("build", "train", "train_pieces"):
        with pytest.raises(PluginError) as refused:
            getattr(factory, function)("text")
        assert_named(refused.value, function)
    with pytest.raises(PluginError):
        factory.trained_on(["text"])


def test_a_guard_that_cannot_be_built():
    with pytest.raises(PluginError) as refused:
        with_plugin(GuardFactory("mine", fail)).guards["mine"].build({})
    assert_named(refused.value, "build")


def refused(call, *given, kind=PluginError):
    with pytest.raises(kind) as raised:
        call(*given)
    (problem,) = raised.value.problems
    assert len(str(problem).splitlines()) == 1
    assert problem.where == "plugin mine of acme-mine 1.0"
    return problem.what


class Half:
    """A tokenizer without `encode_array`, and without what it needs to be saved."""

    token_kind, n_vocab, vocab_size = "mine", 256, 256
    encode = decode = decode_bytes = fail


def test_a_tokenizer_that_lacks_what_mypt_calls():
    made = {name: lambda _: Half() for name in ("build", "train", "train_pieces")}
    factory = with_plugin(TokenizerFactory("mine", **made)).tokenizer("mine")
    for function in made:
        said = refused(getattr(factory, function), "text")
        assert said == (
            f"failed in `{function}` of its tokenizer `mine`: "
            "TypeError: it returns Half, which lacks `encode_array`, `state`"
        )


def test_a_part_that_is_no_module():
    plugins = with_plugin(PartFactory("norm_type", "mine", lambda _: 5))
    config = mypt.GPTConfig(**TINY, norm_type="mine")
    said = refused(lambda: mypt.GPT(config, plugins=plugins))
    assert said.endswith("`mine`: TypeError: it returns int, not Module")


def test_a_guard_that_is_no_function():
    said = refused(with_plugin(GuardFactory("mine", dict)).guards["mine"].build, {})
    assert said.endswith("`mine`: TypeError: it returns dict, not a function")


def test_a_sink_that_hears_nothing_and_a_run_that_needs_none():
    build = with_plugin(SinkFactory("mine", lambda run: run.log_file)).sinks["mine"].build
    assert build(RunInfo("tiny", None)) is None
    said = refused(build, RunInfo("tiny", 5))
    assert said.endswith("`mine`: TypeError: it returns int, which lacks `emit`, `close`")


def test_a_reader_that_gives_no_checkpoint():
    factory = ReaderFactory("mine", recognises=bool, read=lambda *_: {})
    read = with_plugin(factory).readers["mine"].read
    said = refused(read, "file", None, {}, kind=FormatError)
    assert said.endswith("`mine` on file: TypeError: it returns dict, not Checkpoint")


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        (lambda evaluation, memory: None, "it returns NoneType, not Verdict"),
        (
            lambda evaluation, memory: Verdict(None, {"loss": math.nan}),
            "memory is not JSON (Out of",
        ),
        (lambda evaluation, memory: Verdict(None, {"seen": {1}}), "memory is not JSON (Object of"),
        (lambda evaluation: Verdict(None, {}), "takes 1 positional argument but 2 were given"),
    ],
)
def test_a_guard_that_fails_blocks_gold_and_names_its_plugin(guard, said):
    built = with_plugin(GuardFactory("mine", lambda _: guard)).guards["mine"].build({})
    evaluation = Evaluation(step=1, train_loss=1.0, val_loss=1.0)
    decision = decide(evaluation, GoldMemory(), {"mine": built})
    (reason,) = decision.reasons
    start = "plugin mine of acme-mine 1.0: failed in `judge` of its gold guard `mine`: TypeError: "
    assert reason.startswith(start)
    assert said in reason


def test_a_plugin_that_would_end_the_program():
    with pytest.raises(PluginError, match="failed in `build` of its gold guard `mine`: SystemExit"):
        with_plugin(GuardFactory("mine", leave)).guards["mine"].build({})


def test_what_a_plugin_says_itself_is_left_as_it_is():
    said = Problem("text.txt", "", "is too short", "give more")

    def refuse(_):
        raise ConfigError(said)

    with pytest.raises(ConfigError) as refused:
        with_plugin(GuardFactory("mine", refuse)).guards["mine"].build({})
    assert refused.value.problems == (said,)


def test_a_part_that_cannot_be_built():
    plugins = with_plugin(PartFactory("norm_type", "mine", fail))
    with pytest.raises(PluginError) as refused:
        mypt.GPT(mypt.GPTConfig(**TINY, norm_type="mine"), plugins=plugins)
    assert_named(refused.value, "build")


def test_a_reader_that_fails_is_one_line_and_hides_no_other(tmp_path):
    unknown = tmp_path / "unknown.bin"
    unknown.write_bytes(b"of another program")
    plugins = with_plugin(ReaderFactory("mine", recognises=fail, read=fail))
    for _ in range(2):
        with pytest.raises(FormatError, match="is not a checkpoint that mypt can read"):
            mypt.load(unknown, plugins=plugins)
    (fault,) = plugins.faults
    assert (
        fault.what == "failed in `recognises` of its legacy reader `mine`: RuntimeError: not today"
    )

    plugins = with_plugin(ReaderFactory("mine", recognises=lambda _: True, read=fail))
    with pytest.raises(FormatError) as refused:
        mypt.load(unknown, plugins=plugins)
    assert_named(refused.value, "read")


@pytest.fixture
def small(tmp_path):
    mypt.GPT(mypt.GPTConfig(**TINY, head_bias=False)).save(tmp_path / "small")
    return tmp_path / "small"


def write_half(model, path, options):
    path.mkdir()
    (path / "half").write_text("of it")
    fail()


@pytest.mark.parametrize(
    ("explain", "write", "function"),
    [
        (fail, fail, "explain"),
        (lambda _: [], write_half, "write"),
    ],
)
def test_an_exporter_that_fails_is_named_and_leaves_nothing(small, explain, write, function):
    plugins = with_plugin(ExporterFactory("mine", "Mine", explain=explain, write=write))
    with pytest.raises(PluginError) as refused:
        mypt.export_model(small, "mine", small.parent / "out", plugins=plugins)
    assert_named(refused.value, function)
    assert [path.name for path in small.parent.iterdir()] == ["small"]


@pytest.mark.parametrize(
    ("explained", "written", "said"),
    [
        (
            ["no"],
            [],
            "failed in `explain` of its exporter `mine`: TypeError: it returns list, with ",
        ),
        ([], [5], "failed in `write` of its exporter `mine`: TypeError: it returns list, with 5"),
        ([], None, "failed in `write` of its exporter `mine`: TypeError: "),
    ],
)
def test_an_exporter_that_returns_something_else_is_named(small, explained, written, said):
    factory = ExporterFactory(
        "mine", "Mine", explain=lambda _: explained, write=lambda _, path, __: written
    )
    with pytest.raises(PluginError) as refused:
        mypt.export_model(small, "mine", small.parent / "out", plugins=with_plugin(factory))
    assert said in str(refused.value)
    assert [path.name for path in small.parent.iterdir()] == ["small"]


def test_an_exporter_that_writes_nothing_is_named(small):
    factory = ExporterFactory("mine", "Mine", explain=lambda _: [], write=lambda *_: [])
    with pytest.raises(PluginError, match="mine: it has written nothing"):
        mypt.export_model(small, "mine", small.parent / "out", plugins=with_plugin(factory))
    assert [path.name for path in small.parent.iterdir()] == ["small"]


def test_an_exporter_of_a_plugin_writes_a_file_and_takes_its_options(small):
    def write(model, path, options):
        path.write_text(f"{model.config.n_embd} {len(model.weights)} {options['style']}")
        return ["in style"]

    options = {"properties": {"style": {"enum": ["plain", "bold"], "description": "how"}}}
    factory = ExporterFactory("mine", "Mine", explain=lambda _: [], write=write, options=options)
    plugins, out = with_plugin(factory), small.parent / "out"
    with pytest.raises(mypt.UsageError, match=r"not an option of the exporter mine.*`style`"):
        mypt.export_model(small, "mine", out, plugins=plugins, options={"styel": "bold"})
    with pytest.raises(mypt.UsageError, match="options/style: cannot be 'odd'"):
        mypt.export_model(small, "mine", out, plugins=plugins, options={"style": "odd"})
    assert not out.exists()
    notes = mypt.export_model(small, "mine", out, plugins=plugins, options={"style": "bold"})
    assert notes == ["in style"]
    count = len(mypt.load(small).state_dict())
    assert out.read_text() == f"8 {count} bold"


@pytest.fixture
def saved(tmp_path):
    """Save a model with a part of the plugin, and give it with plugins whose part fails."""
    whole = with_plugin(PartFactory("norm_type", "mine", lambda _: nn.Identity()))
    mypt.GPT(mypt.GPTConfig(**TINY, norm_type="mine"), plugins=whole).save(tmp_path / "m")
    return tmp_path / "m"


def errors(folder, plugins):
    problems = validate(folder, plugins.layouts, settings=plugins.settings)
    return [problem for problem in problems if problem.severity == "error"]


@pytest.mark.parametrize("tensors", [fail, lambda _: None, lambda _: {"weight": 3}])
def test_a_part_that_cannot_say_its_tensors_is_a_line_of_validation(saved, tensors):
    plugins = with_plugin(PartFactory("norm_type", "mine", lambda _: nn.Identity(), tensors))
    (problem,) = errors(saved, plugins)
    assert problem.file == str(saved / "config.json")
    assert "plugin mine of acme-mine 1.0" in str(problem)
    assert "mypt --disable-plugin mine" in str(problem)
    with pytest.raises(PluginError, match="plugin mine of acme-mine"):
        mypt.load(saved, plugins=plugins)
    assert get_model_info(saved, plugins=plugins)["parameters"] > 0  # what files say is enough
    with pytest.raises(ConfigError, match="plugin mine of acme-mine"):
        mypt.GPT(mypt.GPTConfig(**TINY, norm_type="mine"), plugins=plugins)


def test_tensors_may_refuse_a_config(saved):
    """This is how a part says what no schema can: one setting against the rest of the config."""

    def odd_depth(config):
        what = f"is {config.plugins['acme-mine']['every']}, but there are {config.n_embd} values"
        where = "/plugins/acme-mine/every"
        raise ConfigError(Problem("config.json", where, what, "choose a divisor"))

    path = saved / "config.json"
    document = {**json.loads(path.read_text()), "plugins": {"acme-mine": {"every": 3}}}
    path.write_text(json.dumps(document))
    plugins = with_plugin(PartFactory("norm_type", "mine", lambda _: nn.Identity(), odd_depth))
    assert [str(error) for error in errors(saved, plugins)] == [
        f"{path}#/plugins/acme-mine/every: is 3, but there are 8 values; choose a divisor"
    ]


def test_settings_that_do_not_fit_are_said_alone(saved):
    def needs_a_number(config):
        return {"weight": (config.plugins["acme-mine"]["rows"] * 2,)}

    options = {"required": ["rows"], "properties": {"rows": {"type": "integer"}}}
    part = PartFactory(
        "norm_type", "mine", lambda _: nn.Identity(), needs_a_number, options=options
    )
    plugins = with_plugin(part)
    (problem,) = errors(saved, plugins)
    assert problem.where == "/plugins/acme-mine/rows"
    assert problem.kind == "settings.required"


def test_guessing_what_was_edited_passes_over_what_a_part_refuses(saved):
    """Among the guesses is a width of heads, which this part does not take."""

    def of_no_other_heads(config):
        if config.head_size is not None:
            raise ConfigError(Problem("config.json", "/head_size", "is given", "leave it out"))
        return {}

    path = saved / "config.json"
    path.write_text(path.read_text().replace('"vocab_size": 16', '"vocab_size": 18'))
    part = PartFactory("norm_type", "mine", lambda _: nn.Identity(), of_no_other_heads)
    (problem,) = errors(saved, with_plugin(part))
    assert problem.where == "/vocab_size"
    assert "was saved with 16" in problem.what


@pytest.fixture
def clashing(tmp_path):
    """Plugins of two packages that offer the same names, and a model and a file of theirs."""
    factories = [
        PartFactory("norm_type", "mine", lambda _: nn.Identity()),
        GuardFactory("mine", lambda _: lambda evaluation, memory: Verdict(None, {})),
        SinkFactory("mine", lambda _: None),
        TokenizerFactory("mine", build=lambda _: Half(), train=fail),
        ReaderFactory(
            "mine",
            recognises=lambda path: path.suffix == ".mine",
            read=fail,
            options={"properties": {"heads": {"type": "integer"}}, "required": ["heads"]},
        ),
    ]
    mypt.GPT(mypt.GPTConfig(**TINY, norm_type="mine"), plugins=with_plugin(*factories)).save(
        tmp_path / "m"
    )
    (tmp_path / "file.mine").write_text("theirs")
    plugins = with_plugin(*factories)
    other = with_plugin(*factories)._manager.get_plugin("mine")
    plugins.register(other, PluginOrigin("theirs", "acme-theirs", "2.0"))
    return tmp_path, plugins


def test_a_name_of_two_plugins_is_looked_up_nowhere_without_naming_both(clashing):
    folder, plugins = clashing
    doors = {
        "part": lambda: plugins.part("norm_type", "mine"),
        "model": lambda: mypt.GPT(mypt.GPTConfig(**TINY, norm_type="mine"), plugins=plugins),
        "load": lambda: mypt.load(folder / "m", plugins=plugins),
        "tokenizer": lambda: plugins.tokenizer("mine"),
        "guard": lambda: build_guards({"mine": {}}, plugins.guards),
        "sink": lambda: plugins.sinks["mine"].build(RunInfo("tiny", None)),
        "reader": lambda: mypt.load(folder / "file.mine", plugins=plugins),
        "option": lambda: mypt.load(folder / "file.mine", plugins=plugins, options={"heads": 2}),
    }
    for door, call in doors.items():
        with pytest.raises(MyptError) as raised:
            call()
        line = str(raised.value)
        assert "`mine` is offered by both plugin mine of acme-mine 1.0 and " in line, door
        assert "plugin theirs of acme-theirs 2.0; disable one: mypt --disable-plugin" in line
    (problem,) = errors(folder / "m", plugins)
    assert "is offered by both plugin mine" in problem.what
    assert get_model_info(folder / "m", plugins=plugins)["parameters"] > 0
    assert plugins.source_of("mypt_parts", ("norm_type", "mine")) is None
