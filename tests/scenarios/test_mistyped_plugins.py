"""What a user mistypes of a plugin is refused before anything is trained, at every door alike."""

import json
import sys
from pathlib import Path

import pytest

import mypt
from mypt.format.errors import ConfigError
from mypt.plugins.manager import load_plugins
from tests.support.installed import install, others

# One package with a tokenizer and a part, whose options share its section.
WORDS = """
import numpy as np
from mypt.plugins import PartFactory, TokenizerFactory, hookimpl


class Letters:
    token_kind = "acme_letters"

    def __init__(self, letters):
        self.letters = letters
        self.n_vocab = self.vocab_size = len(letters) + 1

    def encode(self, text):
        return [1 + self.letters.find(letter) for letter in text]

    def encode_array(self, text):
        return np.array(self.encode(text), np.uint32)

    def decode(self, ids):
        return "".join(self.letters[i - 1] if 0 < i < self.n_vocab else "\\ufffd" for i in ids)

    def decode_bytes(self, ids):
        return self.decode(ids).encode()

    def state(self):
        return {"token_kind": self.token_kind, "plugins": {"acme-words": {"letters": self.letters}}}


def closed(**properties):
    return {"type": "object", "properties": properties, "additionalProperties": False}


def build_part(config):
    from torch import nn

    slope = config.plugins.get("acme-words", {}).get("slope", 0.01)
    up, down = nn.Linear(config.n_embd, 8, bias=False), nn.Linear(8, config.n_embd, bias=False)
    return nn.Sequential(up, nn.LeakyReLU(slope), down)


@hookimpl
def mypt_parts():
    tensors = lambda config: {"0.weight": (8, config.n_embd), "2.weight": (config.n_embd, 8)}
    options = closed(slope={"type": "number", "minimum": 0})
    return [PartFactory("mlp_type", "acme_leaky", build_part, tensors, options=options)]


@hookimpl
def mypt_tokenizers():
    return [
        TokenizerFactory(
            "acme_letters",
            build=lambda state: Letters(state["plugins"]["acme-words"]["letters"]),
            train=lambda text, options: Letters(
                "".join(sorted(set(text)))[: options.get("n_letters", 1000)]
            ),
            options=closed(letters={"type": "string"}),
            train_options=closed(n_letters={"type": "integer", "minimum": 1}),
        )
    ]
"""
TRAIN = (
    *("train", "--model_name", "m", "--input_file", "input.txt", "--device", "cpu"),
    *("--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8, "--batch_size", 2),
    *("--max_iters", 2, "--eval_interval", 2, "--eval_iters", 1, "--config_file", "preset.json"),
)
BOTH = {"tokenization": "acme_letters", "mlp_type": "acme_leaky"}


@pytest.fixture
def preset(in_tmp, text, monkeypatch):
    """Install acme-words, and give what writes preset.json."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    packages = install(in_tmp / "packages", "acme-words", WORDS, entry="words", module="acme_words")
    monkeypatch.syspath_prepend(packages)
    (in_tmp / "input.txt").write_text(text)

    def write(**fields):
        (in_tmp / "preset.json").write_text(json.dumps(fields))

    yield write
    sys.modules.pop("acme_words", None)


def read(name, file="config.json"):
    return json.loads(Path("checkpoints", name, file).read_text())


def test_a_tokenizer_and_a_part_of_one_package_take_their_options_from_one_section(preset, cli):
    preset(**BOTH, plugins={"acme-words": {"slope": 0.5, "n_letters": 7}})
    code, out, err = cli("format", "validate", "preset.json")
    assert (code, out, err) == (0, "preset.json: valid\n", "")
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    assert read("m")["vocab_size"] == 8
    assert read("m")["plugins"] == {"acme-words": {"slope": 0.5, "n_letters": 7}}
    assert mypt.load("m").blocks[0].fwd[1].negative_slope == 0.5
    code, _, err = cli(*TRAIN, "--max_iters", 4)  # and it is read again, also to go on
    assert code == 0, err
    code, _, err = cli("format", "validate", "checkpoints/m")
    assert code == 0, err


SLIPS = {
    "a section in the spelling of the module": (
        {"plugins": {"acme_words": {"n_letters": 7}}},
        "/plugins/acme_words: is not the name of an installed package with plugins "
        "(did you mean `acme-words`?)",
    ),
    "a section by the name of the plugin": (
        {"plugins": {"words": {"n_letters": 7}}},
        "/plugins/words: is not the name of an installed package with plugins "
        "(did you mean `acme-words`?)",
    ),
    "an option of the tokenizer": (
        {"plugins": {"acme-words": {"n_leters": 7}}},
        "/plugins/acme-words/n_leters: is not an option (did you mean `n_letters`?); "
        "use one of: slope, n_letters",
    ),
    "a value for the training of the tokenizer": (
        {"plugins": {"acme-words": {"n_letters": "seven"}}},
        '/plugins/acme-words/n_letters: is "seven", not a whole number',
    ),
    "a value for the part": (
        {"plugins": {"acme-words": {"slope": "steep"}}},
        '/plugins/acme-words/slope: is "steep", not a number',
    ),
    "a log sink": ({"log_sinks": {"consle": {}}}, "/log_sinks: there is no log sink `consle`"),
    "a guard": ({"gold_guards": {"overfitt": {}}}, "/gold_guards: there is no gold guard `overf"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_preset_is_the_same_line_at_every_door(slip, preset, refused, cli, in_tmp):
    fields, said = SLIPS[slip]
    preset(**BOTH, **fields)
    line = f"error: preset.json#{said}"
    told = refused(*TRAIN)
    assert told.startswith(line)
    assert not (in_tmp / "checkpoints").exists()
    assert refused("configs", "--config_file", "preset.json") == told
    code, out, _ = cli("format", "validate", "preset.json")
    assert (code, out.splitlines()) == (1, [told.strip(), "preset.json: invalid, 1 error"])


def test_a_slip_in_the_flag_names_the_flag(preset, refused):
    preset(**BOTH)
    line = refused(*TRAIN, "--plugins", '{"acme-words": {"n_leters": 7}}')
    assert line.startswith("error: --plugins/acme-words/n_leters: is not an option (did you mean")


def test_the_flag_wins_over_the_preset_option_by_option(preset, cli):
    preset(**BOTH, plugins={"acme-words": {"slope": 0.5, "n_letters": 7}})
    flag = ("--plugins", '{"acme-words": {"n_letters": 5}}')
    code, out, err = cli(*TRAIN, *flag)
    assert code == 0, err
    assert read("m")["plugins"] == {"acme-words": {"slope": 0.5, "n_letters": 5}}
    assert "ignored" not in cli(*TRAIN, *flag, "--max_iters", 3)[1]  # the same command goes on
    _, out, _ = cli(*TRAIN, "--plugins", '{"acme-words": {"slope": 0.1}}', "--max_iters", 4)
    assert '--plugins {"acme-words": {"slope": 0.1}} is ignored: the saved model has' in " ".join(
        out.split()
    )


def test_what_nothing_chosen_takes_is_a_warning(preset, cli):
    preset(tokenization="char", plugins={"acme-words": {"n_letters": 7}})
    said = "plugins/acme-words/n_letters: has no effect: it is an option of tokenization"
    code, out, _ = cli("format", "validate", "preset.json")
    assert code == 0
    assert f"warning: preset.json#/{said} `acme_letters`, which is not chosen" in out
    code, out, _ = cli(*TRAIN)
    assert code == 0
    assert said in " ".join(out.split())


def test_a_slip_in_python_is_refused_too(preset, text):
    plugins = load_plugins()
    config = mypt.GPTConfig(vocab_size=9, n_embd=8, n_head=1, plugins={"acme_words": {}})
    with pytest.raises(ConfigError, match=r"^plugins/acme_words: .*did you mean `acme-words`"):
        mypt.GPT(config, plugins=plugins)
    config = mypt.GPTConfig(plugins={"acme-words": {"n_leters": 5}}, n_embd=8, n_head=1)
    manager = mypt.CheckpointManager("p")
    with pytest.raises(ConfigError, match=r"^plugins/acme-words/n_leters: is not an option"):
        manager.initialize_for_training(config, "acme_letters", text, plugins=plugins)
    config = mypt.GPTConfig(plugins={"acme-words": {"n_letters": 5}}, n_embd=8, n_head=1)
    model, *_ = manager.initialize_for_training(config, "acme_letters", text, plugins=plugins)
    assert model.tokenizer.n_vocab == 6


def test_a_bundle_opens_without_the_package_of_a_section_and_is_a_base(preset, cli, monkeypatch):
    preset(tokenization="char", plugins={"acme-words": {"n_letters": 7}})
    assert cli(*TRAIN)[0] == 0
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", f"{others()},acme-words")
    assert cli("format", "validate", "checkpoints/m")[0] == 0
    assert mypt.load("m").generate("the", max_new_tokens=1)
    again = [word for word in TRAIN if word not in ("--config_file", "preset.json")]
    code, _, err = cli(*again, "--max_iters", 4)
    assert code == 0, err
    again[again.index("m")] = "child"
    code, _, err = cli(*again, "--init_from_model", "m")
    assert code == 0, err
    code, _, err = cli(*TRAIN, "--model_name", "new")
    assert code == 1
    assert "preset.json#/plugins/acme-words: is disabled; remove it from --disable-plugin" in err


def test_a_misspelt_sink_is_an_error_wherever_it_is_given(preset, cli, refused, text):
    preset(tokenization="char")
    sink = ("--log_sinks", '{"consle": {}}')
    assert refused(*TRAIN, *sink).startswith(
        "error: --log_sinks: there is no log sink `consle` (did you mean `console`?); use one of:"
    )
    assert cli(*TRAIN)[0] == 0
    assert "did you mean `console`" in refused(*TRAIN, *sink, "--max_iters", 4)
    assert "did you mean `console`" in refused(*TRAIN, *sink)  # it has nothing left to do
    model = mypt.load("m")
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text)
    with pytest.raises(ConfigError, match="there is no log sink `consle`"):
        model.fit(loader, max_iters=4, log_sinks={"consle": {}})


def test_a_data_set_is_prepared_with_the_options_of_its_tokenizer(preset, cli, refused):
    preset(**BOTH, plugins={"acme-words": {"n_letters": 7}})
    prepare = ("data", "prepare", "input.txt", "--output")
    code, _, err = cli(*prepare, "a", "--config_file", "preset.json")
    assert (code, err) == (0, "")
    assert len(_letters("a")) == 7
    flag = ("--plugins", '{"acme-words": {"n_letters": 5}}')
    assert cli(*prepare, "b", "--config_file", "preset.json", *flag)[0] == 0
    assert len(_letters("b")) == 5
    assert cli(*prepare, "c", "--tokenization", "acme_letters", *flag)[0] == 0
    assert _letters("c") == _letters("b")

    line = refused(*prepare, "c", "--tokenization", "acme_letters")
    assert "was prepared differently: the options of the tokenizer changed since" in line
    flag = ("--plugins", '{"acme-words": {"n_leters": 5}}')
    line = refused(*prepare, "d", "--tokenization", "acme_letters", *flag)
    assert line.startswith("error: --plugins/acme-words/n_leters: is not an option (did you mean")
    line = refused(*prepare, "d", "--from_model", "m", "--plugins", "{}", code=2)
    assert "--plugins cannot be used with --from_model" in line


def test_conversations_are_prepared_with_the_options_of_their_tokenizer(preset, cli, in_tmp):
    preset(**BOTH, plugins={"acme-words": {"n_letters": 7}})
    chats = [{"prompt": f"say {n}", "completion": f"{n}"} for n in range(20)]
    (in_tmp / "chats.jsonl").write_text("\n".join(map(json.dumps, chats)))
    words = ("data", "chats", "chats.jsonl", "--output", "a", "--config_file", "preset.json")
    code, _, err = cli(*words)
    assert code == 0, err
    assert len(_letters("a")) == 7


def _letters(folder):
    state = json.loads(Path(folder, "tokenizer_state.json").read_text())
    return state["plugins"]["acme-words"]["letters"]


def test_what_two_packages_offer_names_both_and_no_option(preset, cli, in_tmp):
    preset(**BOTH, max_iters=2, plugins={"acme-words": {"slope": 0.5, "n_letters": 7}})
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    install(in_tmp / "packages", "acme-fork", WORDS, entry="fork", module="acme_fork")
    both = "is offered by both plugin fork of acme-fork 1.0 and plugin words of acme-words 1.0"
    try:
        for fields in (BOTH, {"tokenization": "acme_letters"}):
            preset(**fields, plugins={"acme-words": {"slope": 0.5, "n_letters": 7}})
            code, _, err = cli(*TRAIN[:2], "n", *TRAIN[3:])
            assert code == 1
            assert both in err.splitlines()[-1]
            code, out, _ = cli("format", "validate", "preset.json")
            assert code == 1
            assert f"preset.json#/tokenization: the tokenizer `acme_letters` {both}" in out
            assert "is not an option" not in out
        _, out, _ = cli("format", "validate", "checkpoints/m")
        assert f"config.json: the mlp_type `acme_leaky` {both}" in out
        assert f"tokenizer.json#/token_kind: the tokenizer `acme_letters` {both}" in out
        assert "pip install" not in out
    finally:
        sys.modules.pop("acme_fork", None)


ABSENT = {
    "for a later mypt": ("is broken", "update mypt: pip install -U mypt-lm"),
    "disabled": ("is disabled", "remove it from --disable-plugin"),
    "broken": ("is broken", "`mypt plugins` shows what is wrong with it"),
}


@pytest.mark.parametrize("state", ABSENT)
def test_an_installed_package_that_cannot_be_used_is_not_to_be_installed(
    preset, cli, in_tmp, monkeypatch, state
):
    preset(**BOTH, plugins={"acme-words": {"slope": 0.5, "n_letters": 7}})
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    sys.modules.pop("acme_words")
    if state == "disabled":
        monkeypatch.setenv("MYPT_DISABLE_PLUGINS", f"{others()},acme-words")
    elif state == "broken":
        (in_tmp / "packages" / "acme_words.py").write_text("1 / 0  # an error of the author\n")
    else:
        (metadata,) = (in_tmp / "packages").glob("*/METADATA")
        metadata.write_text(metadata.read_text() + "Requires-Dist: mypt-lm>=99\n")
    why, fix = ABSENT[state]
    for words in (
        (*TRAIN, "--max_iters", 4),
        ("generate", "--model_name", "m", "--prompt", "l", "--max_new_tokens", 1),
        ("inspect", "--model_name", "m"),
        ("format", "validate", "checkpoints/m"),
    ):
        _, out, err = cli(*words)
        assert why in out + err, words
        assert fix in out + err, words
        assert "pip install acme-words" not in out + err, words
        assert "not installed" not in out + err, words
    (in_tmp / "checkpoints/m/manifest.json").unlink()  # then the section of the config is the hint
    _, out, err = cli("generate", "--model_name", "m", "--prompt", "l", "--max_new_tokens", 1)
    assert why in out + err
    assert "pip install acme-words" not in out + err
