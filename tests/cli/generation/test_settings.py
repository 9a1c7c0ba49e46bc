import pytest

from mypt.cli.generation.settings import change_setting, list_settings, print_settings
from mypt.engine.inference.conversation import ChatSettings
from mypt.format.errors import ConfigError
from mypt.model.decoding.sampling_options import Sampling

BEFORE = ChatSettings(sampling=Sampling(top_k=5), max_new_tokens=20)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_new_tokens", "7", 7),
        ("temperature", "0.5", 0.5),
        ("top_k", "off", None),
        ("stop", '"\\n"', ["\n"]),
        ("stop", "a b", ["a b"]),
        ("stop", "off", []),
        ("processors", '{"banned_words": {"words": ["x"]}}', {"banned_words": {"words": ["x"]}}),
        ("processors", "off", {}),
    ],
)
def test_a_setting_is_changed_alone(name, text, value):
    changed = list_settings(change_setting(BEFORE, name, text))
    assert changed == {**list_settings(BEFORE), name: value}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("top_k", "many", "top_k: is `many`; make it a whole number"),
        ("temperature", "off", "temperature: is `off`; make it a number"),
        ("processors", "{", "processors: is not JSON"),
    ],
)
def test_what_is_no_value_is_refused(name, text, said):
    with pytest.raises(ConfigError, match=said):
        change_setting(BEFORE, name, text)


def test_settings_are_shown_as_they_are_given(capsys):
    print_settings({"top_k": None, "stop": ["\n"], "processors": {}, "seed": 0})
    assert capsys.readouterr().out == 'top_k: off\nstop: ["\\n"]\nprocessors: off\nseed: 0\n'
