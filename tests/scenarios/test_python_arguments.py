"""Every argument of the Python API works, or is refused by an error that names it."""

import inspect
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
import torch

import mypt
from tests.support.talking import make_talker

TEXT = "the cat sat on the mat " * 40
# Why some parameters are not in the table.
NOT_ASKED = {
    "Chat": "made by GPT.chat",
    "ChatTemplate": "made by ChatTemplate.of",
    "GPT.forward": "tensors, as any module of torch",
    "GPT.loss": "tensors, as any module of torch",
    "GPT.next_logits": "tensors, as any module of torch",
    "GPT.check_shapes": "for the engine",
    "GPT.load_weights": "for the engine",
    "GPT.hidden": "tensors, as any module of torch",
    "GPT.log_likelihoods": "tensors, as any module of torch",
}
# What results and files are made of is checked where it is used.
DOCUMENTS = {
    *(
        "Answer",
        "Batch",
        "Continuation",
        "ContinuationScore",
        "EncodedChat",
        "Message",
        "EvaluationEvent",
        "Problem",
        "Score",
        "StepEvent",
        "TextStream",
    ),
    "TrainingState",
}
# Classes whose fields are their arguments.
FIELDS = {"GPTConfig", "Sampling", "TrainingConfig"}
# Methods for those who build a `Plugins` themselves.
OF_PLUGINS = {
    *("explain_absence", "has", "load", "load_all", "load_later", "note", "register"),
    *("collect", "load_waiting", "registries", "registry", "source_of", "version_of"),
}


@pytest.fixture(scope="module")
def table(plugins, tmp_path_factory):
    """Return, by name, each public function and arguments that it takes."""
    folder = tmp_path_factory.mktemp("arguments")
    tokenizer = plugins.tokenizer("char").trained_on([TEXT])
    config = mypt.GPTConfig(
        n_layer=1, n_head=1, n_embd=8, block_size=8, batch_size=2, vocab_size=tokenizer.n_vocab
    )
    model = mypt.GPT(config, tokenizer)
    loader = mypt.GPTDataLoader(config, tokenizer, text=TEXT)
    saved = folder / "saved"
    model.save(saved)
    fitted = {"data_loader": loader, "max_iters": 1, "eval_iters": 1, "quiet": True}
    manager = mypt.CheckpointManager("of_arguments")
    made = {"config": config, "tokenization": "char", "text": TEXT}
    talker, asked = make_talker(), [{"role": "user", "content": "Hi"}]
    chat = talker.chat(asked, max_new_tokens=1)
    template = mypt.ChatTemplate.of(talker.tokenizer)
    said = [mypt.Message(role="user", content="Hi")]
    return {
        "load": (mypt.load, {"path_or_name": saved}),
        "get_model_info": (mypt.get_model_info, {"path_or_name": saved}),
        "list_checkpoints": (mypt.list_checkpoints, {"folder": folder}),
        "check_model": (mypt.check_model, {"path_or_name": saved}),
        "export_model": (
            mypt.export_model,
            {"path_or_name": saved, "to": "hf", "output": folder / "exported"},
        ),
        "load_plugins": (mypt.load_plugins, {}),
        "Plugins": (mypt.Plugins, {}),
        "Plugins.tokenizer": (plugins.tokenizer, {"token_kind": "char"}),
        "Plugins.optimizer": (plugins.optimizer, {"name": "adamw"}),
        "Plugins.schedule": (plugins.schedule, {"name": "cosine"}),
        "Plugins.loss": (plugins.loss, {"name": "cross_entropy"}),
        "Plugins.data_source": (plugins.data_source, {"name": "text"}),
        "Plugins.exporter": (plugins.exporter, {"name": "hf"}),
        "Plugins.command": (plugins.command, {"name": "train"}),
        "Plugins.logit_processor": (plugins.logit_processor, {"name": "logit_bias"}),
        "Plugins.part": (plugins.part, {"slot": "mlp_type", "name": "gelu"}),
        "Sampling": (mypt.Sampling, {}),
        "GPTConfig": (mypt.GPTConfig, {}),
        "TrainingConfig": (mypt.TrainingConfig, {}),
        "GPT": (mypt.GPT, {"config": config, "tokenizer": tokenizer}),
        "GPT.generate": (model.generate, {"prompt": "the", "max_new_tokens": 1}),
        "GPT.stream": (lambda **given: list(model.stream(**given)), {"max_new_tokens": 1}),
        "GPT.generate_many": (
            lambda **given: list(model.generate_many(**given)),
            {"prompts": ["the"], "max_new_tokens": 1},
        ),
        "GPT.chat": (talker.chat, {}),
        "Chat.ask": (chat.ask, {"text": "Hi"}),
        "Chat.stream": (chat.stream, {"text": "Hi"}),
        "Chat.answer": (chat.answer, {}),
        "Chat.regenerate": (chat.regenerate, {}),
        "Chat.edit": (chat.edit, {"text": "Ho"}),
        "Chat.question": (chat.question, {}),
        "Chat.undo": (chat.undo, {}),
        "Chat.clear": (chat.clear, {}),
        "Chat.replace": (chat.replace, {"messages": asked}),
        "Chat.set_system": (chat.set_system, {"text": "Be kind."}),
        "ChatTemplate.of": (mypt.ChatTemplate.of, {"tokenizer": talker.tokenizer}),
        "ChatTemplate.encode": (template.encode, {"messages": said}),
        "ChatTemplate.reads": (template.reads, {"variable": "tools"}),
        "ChatTemplate.read_answer": (template.read_answer, {"text": " Hi"}),
        "GPT.score": (model.score, {"text": "the cat"}),
        "GPT.score_continuations": (
            lambda **given: list(model.score_continuations(**given)),
            {"pairs": [("the", " cat")]},
        ),
        "GPT.embed": (model.embed, {"texts": ["the cat"]}),
        "GPT.fit": (lambda **given: mypt.GPT(config, tokenizer).fit(**given), fitted),
        "GPT.save": (model.save, {"checkpoint_dir": folder / "save"}),
        "GPT.save_checkpoint_bundle": (
            model.save_checkpoint_bundle,
            {"checkpoint_dir": folder / "save_bundle"},
        ),
        "GPT.make_cache": (model.make_cache, {}),
        "GPT.add_adapter": (lambda **given: mypt.GPT.load(saved).add_adapter(**given), {}),
        "GPT.merge_adapter": (model.merge_adapter, {}),
        "GPT.quantize": (mypt.GPT(config, tokenizer).quantize, {}),
        "GPT.need_tokenizer": (model.need_tokenizer, {}),
        "GPT.tokenizer_or_ids": (model.tokenizer_or_ids, {}),
        "GPT.load": (mypt.GPT.load, {"path_or_name": saved}),
        "GPT.load_legacy": (mypt.GPT.load_legacy, {"path": saved / "model.pt"}),
        "GPTDataLoader": (
            mypt.GPTDataLoader,
            {"config": config, "tokenizer": tokenizer, "text": TEXT},
        ),
        "GPTDataLoader.train_batch": (
            loader.train_batch,
            {"seed": 1, "step": 1, "micro_step": 0},
        ),
        "GPTDataLoader.eval_batch": (loader.eval_batch, {"split": "val", "seed": 1, "index": 0}),
        "CheckpointManager": (mypt.CheckpointManager, {"model_name": "cat"}),
        "CheckpointManager.get_path": (manager.get_path, {"file": "model.pt"}),
        "CheckpointManager.exists": (manager.exists, {}),
        "CheckpointManager.load_for_inference": (
            mypt.CheckpointManager.load_for_inference,
            {"model_name": str(saved)},
        ),
        "CheckpointManager.initialize_for_training": (manager.initialize_for_training, made),
    }


def public_functions():
    """Yield the names of all that a user calls."""
    for name in mypt.__all__:
        value = getattr(mypt, name)
        if name == "__version__" or name in DOCUMENTS or name.endswith("Error"):
            continue
        yield name
        if inspect.isclass(value) and name not in FIELDS:
            owners = [cls for cls in value.__mro__ if cls.__module__.startswith("mypt.")]
            for member in {member for cls in owners for member in vars(cls)}:
                function = inspect.getattr_static(value, member)
                is_function = isinstance(function, FunctionType | staticmethod | classmethod)
                if is_function and not member.startswith("_"):
                    yield f"{name}.{member}"


def test_every_public_function_is_in_the_table(table):
    skipped = NOT_ASKED.keys() | {f"Plugins.{name}" for name in OF_PLUGINS}
    assert set(public_functions()) - skipped == set(table)


def parameters_of(name):
    """Return the parameters of a public function, with those that it passes on as keywords."""
    value = mypt
    for part in name.split("."):
        value = getattr(value, part)
    found = dict(inspect.signature(value).parameters)
    named = {p for p, one in found.items() if one.kind is not one.VAR_KEYWORD and p != "self"}
    if len(named) < len(found) - ("self" in found):
        more = mypt.TrainingConfig if name == "GPT.fit" else mypt.Sampling
        found = {**inspect.signature(more).parameters, **found}
        named |= inspect.signature(more).parameters.keys() - {"extra", "start_step"}
    named -= {"extra", "absent"}  # what a later version wrote, and what a document leaves out
    return {p: (format_type(found[p].annotation), found[p].default) for p in named}


def format_type(annotation):
    """Return an annotation as it is written in a module that imports its names."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return text.replace("collections.abc.", "").replace("typing.", "")


def bad_values(annotation, default):
    """Yield what cannot be an argument of this type."""
    yield from (object(), b"bytes", 1j)
    words = set(annotation.replace("|", " ").replace("[", " ").replace("]", " ").split())
    several = {"Iterable", "Sequence", "Prompt", "Mapping", "Any"} & words
    if "int" in words and not several and "str" not in words:
        yield from (1.5, -1, "x", True, np.float64(2.5))
    if "float" in words and not several:
        yield from ("x", True, float("nan"), -1.0)
    if words == {"bool"}:
        yield from ("yes", 1, None)
    if words & {"str", "Path"} and not several:
        yield 5
    if not {"None", "object", "Any", "torch.device"} & words and default is not None:
        yield None


NAMES = sorted(set(public_functions()) - NOT_ASKED.keys())
NAMES = [name for name in NAMES if name.removeprefix("Plugins.") not in OF_PLUGINS]
# Where more is taken than the type of the parameter says.
TAKEN = {("Plugins", "hooks")}
SIGNED = {("GPTConfig", "norm_offset")}
LEAST = {("GPTConfig", "rope_size"): 2, ("GPT.fit", "min_lr"): 0}


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_an_argument_is_refused_by_its_name(table, name, in_tmp):
    function, given = table[name]
    for parameter, (annotation, default) in parameters_of(name).items():
        if (name, parameter) in TAKEN:
            continue
        for value in bad_values(annotation, default):
            if value == -1 and (name, parameter) in SIGNED:
                continue
            with pytest.raises(mypt.MyptError) as refused:
                function(**{**given, parameter: value})
            told = f"{name}({parameter}={value!r}): {refused.value}"
            names = {problem.where.partition("/")[0] for problem in refused.value.problems}
            assert {parameter, parameter.removesuffix("s")} & names, told


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_numpy_are_numbers(table, name, in_tmp):
    function, given = table[name]
    for parameter, (annotation, default) in parameters_of(name).items():
        usual = default if isinstance(default, int | float) else LEAST.get((name, parameter), 1)
        for kind, numbers in (("int", (np.int64, np.uint32)), ("float", (np.float64, np.float32))):
            if not annotation.startswith(kind):
                continue
            for number in numbers:
                value = number(given.get(parameter, usual))
                function(**{**given, parameter: value})


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_that_there_is_not_is_refused_by_its_name(table, name, in_tmp):
    function, given = table[name]
    if name == "Plugins":
        pytest.skip("any name may be that of a hook")
    with pytest.raises(mypt.ConfigError, match=r"^no_such: is not an (argument|option); "):
        function(**given, no_such=1)


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_that_is_needed_is_refused_by_its_name(table, name, in_tmp):
    function, given = table[name]
    for parameter, (_, default) in parameters_of(name).items():
        if default is inspect.Parameter.empty:
            rest = {key: value for key, value in given.items() if key != parameter}
            with pytest.raises(mypt.ConfigError, match=f"^{parameter}: is missing; give "):
                function(**rest)


@pytest.mark.parametrize("name", NAMES)
def test_too_many_arguments_by_position_are_refused(table, name, in_tmp):
    function, given = table[name]
    if function.__name__ == "<lambda>":
        pytest.skip("called by name")
    with pytest.raises(mypt.ConfigError, match=r"is given by position|is given unnamed|more arg"):
        function(*given.values(), *[None] * 30)


SPECIAL = [
    ("GPTConfig", {"n_layer": "six"}, 'n_layer: is "six", not a whole number'),
    ("GPTConfig", {"n_heads": 3}, "n_heads: is not an argument (did you mean `n_head`?)"),
    ("TrainingConfig", {"max_iters": -5}, "max_iters: is -5, less than 1"),
    ("GPT.fit", {"data_loader": "input.txt"}, "data_loader: is 'input.txt'; make it a GPTDataLoad"),
    ("GPT.fit", {"eval_data_loaders": [1]}, "eval_data_loaders: is [1]; make it GPTDataLoaders by"),
    ("GPT.generate", {"stop": None}, "stop: is None"),
    ("GPT.generate", {"stop": ["a", 1]}, "stop: is "),
    ("GPT.generate", {"stop_tokens": 1.5}, "stop_tokens: is 1.5"),
    ("GPT.generate", {"max_new_tokens": None}, "max_new_tokens: is None"),
    ("GPT.generate_many", {"batch_size": -1}, "batch_size: is -1"),
    ("GPT.generate_many", {"samples": 0}, "samples: is 0"),
    ("GPT.score", {"stride": 1.5}, "stride: is 1.5"),
    ("GPTDataLoader", {"sampling": "epochs"}, "sampling: is 'epochs'; make it random or epoch"),
    ("GPTDataLoader", {"dataset_dir": "x"}, "text: is given together with dataset_dir"),
    ("GPTDataLoader", {"text": None}, "text: is missing; give one of text, dataset_dir, mixture"),
    ("GPTDataLoader.eval_batch", {"split": "test"}, "split: is 'test'"),
    ("load_plugins", {"disabled": "mypt-bpe"}, "disabled: is 'mypt-bpe'; make it a list"),
]


@pytest.mark.parametrize(("name", "given", "said"), SPECIAL)
def test_what_was_taken_or_failed_without_a_word_is_refused(table, name, given, said):
    function, known = table[name]
    with pytest.raises(mypt.ConfigError) as refused:
        function(**{**known, **given})
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("GPT.generate", {"stop_tokens": np.int64(5)}),
        ("GPT.generate", {"stop_tokens": np.array([5, 6])}),
        ("GPT.generate", {"prompt": np.array([1, 2])}),
        ("GPT.fit", {"log_file": Path("log.jsonl")}),
        ("load", {"device": torch.device("cpu")}),
    ],
)
def test_what_is_clear_works(table, name, given, in_tmp):
    function, known = table[name]
    function(**{**known, **given})


@pytest.mark.parametrize("options", [{"top_p": 1e-300}, {"top_p": 5e-324}, {"min_p": 5e-324}])
def test_numbers_near_0_still_choose_the_likeliest_token(bundle, options):
    model = mypt.load(bundle)
    wanted = model.generate("the", 20, temperature=0)
    found = model.generate("the", 20, temperature=1, seed=1, **options)
    assert (found == wanted) is ("top_p" in options)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1e-39},
        {"temperature": 1e39},
        {"repetition_penalty": 1e-300},
        {"repetition_penalty": 1e300},
    ],
)
def test_numbers_that_leave_no_token_are_refused(bundle, options):
    with pytest.raises(mypt.ConfigError, match=next(iter(options))):
        mypt.load(bundle).generate("the", 5, **options)


@pytest.mark.parametrize("temperature", [1e-20, 1e20])
@pytest.mark.parametrize("penalty", [1e-10, 1.0, 1e10])
def test_numbers_at_the_limits_choose_a_token(bundle, temperature, penalty):
    model = mypt.load(bundle)
    (one,) = model.generate_many(
        ["the cat"], 20, temperature=temperature, repetition_penalty=penalty, top_p=None, seed=1
    )
    assert set(one.ids) != {0}


def test_a_split_that_a_loader_lacks_is_refused(plugins):
    tokenizer = plugins.tokenizer("char").trained_on([TEXT])
    config = mypt.GPTConfig(block_size=8, batch_size=2, vocab_size=tokenizer.n_vocab)
    loader = mypt.GPTDataLoader(config, tokenizer, text=TEXT, eval_only=True)
    for call in (lambda: loader.eval_batch("train", 1, 0), lambda: loader.train_batch(1, 0, 0)):
        with pytest.raises(mypt.ConfigError, match=r"^split: is train, but all the data"):
            call()


def test_a_config_of_numpys_numbers_is_saved(plugins, tmp_path):
    config = mypt.GPTConfig(
        **{name: np.int64(8) for name in ("n_embd", "block_size", "vocab_size")},
        n_layer=np.int32(1),
        n_head=np.int16(1),
        dropout=np.float32(0.5),
    )
    assert type(config.n_layer) is int
    mypt.GPT(config, plugins=plugins).save(tmp_path / "m")
    assert mypt.load(tmp_path / "m").config.dropout == 0.5
