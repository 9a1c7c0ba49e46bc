import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.tokenizer.declared import make_token, read_declared_tokens


def test_a_list_of_ids_makes_older_files_void(fill):
    config = {"added_tokens_decoder": {"1": {"content": "a"}, "0": {"content": "<s>"}}}
    config |= {"bos_token": "<s>", "image_token": "<image>"}
    folder = fill("gpt2", {"special_tokens_map.json": {"pad_token": "x"}, "added_tokens.json": {}})
    found = read_declared_tokens(folder, config)
    assert [*found.by_id] == [0, 1]
    assert [*found.by_role] == ["bos_token", "image_token"]
    assert found.by_role["bos_token"] is found.by_id[0]
    assert found.text("pad_token") is None


def test_older_files_are_read_where_no_ids_are_listed(fill):
    files = {
        "special_tokens_map.json": {"eos_token": {"content": "</s>", "rstrip": True}},
        "added_tokens.json": {"</s>": 7, "word": 6},
    }
    found = read_declared_tokens(fill("gpt2", files), {"eos_token": "<end>"})
    assert found.text("eos_token") == "</s>"
    assert [*found.by_id] == [6, 7]
    assert (found.by_id[6]["special"], found.by_id[6]["normalized"]) == (False, True)
    assert (found.by_id[7]["special"], found.by_id[7]["normalized"]) == (True, False)


def test_what_the_files_say_wins_over_a_class(tmp_path):
    found = read_declared_tokens(tmp_path, {"pad_token": "[PAD]", "eos_token": "</s>"})
    whole = found.with_defaults({"bos_token": "<s>", "eos_token": "<end>"})
    assert [*whole.by_role] == ["bos_token", "eos_token", "pad_token"]
    assert whole.text("eos_token") == "</s>"
    assert whole.by_role["bos_token"] == make_token("<s>")


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"bos_token": 5}, "/bos_token"),
        ({"bos_token": ""}, "/bos_token"),
        ({"eos_token": {"content": "a", "lstrip": 1}}, "/eos_token"),
        ({"added_tokens_decoder": []}, "/added_tokens_decoder"),
        ({"added_tokens_decoder": {"-1": {"content": "a"}}}, "/added_tokens_decoder/-1"),
        ({"added_tokens_decoder": {"1": "a"}}, "/added_tokens_decoder/1"),
        ({"additional_special_tokens": "a"}, "/additional_special_tokens"),
        ({"extra_special_tokens": ["a", None]}, "/extra_special_tokens/1"),
    ],
)
def test_what_is_no_token_is_refused(config, pointer, tmp_path):
    with pytest.raises(FormatError, match=f"tokenizer_config.json#{pointer}: .*tokenizer=none"):
        read_declared_tokens(tmp_path, config)


def test_an_id_that_is_none_is_refused(fill):
    with pytest.raises(FormatError, match=r"added_tokens\.json#/a"):
        read_declared_tokens(fill("gpt2", {"added_tokens.json": {"a": "1"}}), {})
    listed = {"added_tokens_decoder": {"1" * 6000: {"content": "a"}}}
    with pytest.raises(FormatError, match=r"tokenizer_config\.json#/added_tokens_decoder/111"):
        read_declared_tokens(fill("gpt2", {}), listed)
