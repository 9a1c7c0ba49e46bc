from pathlib import Path

import pytest

from mypt.format.storage.recorded_paths import (
    record_path,
    record_text,
    record_value,
    record_words,
)

OUTSIDE = {
    "/home/bob/x.txt": "x.txt",
    "--input_file=/home/bob/my data/x.txt": "--input_file=x.txt",
    '{"q": "/home/bob/a b/q.txt", "r": "sub/x"}': '{"q": "q.txt", "r": "sub/x"}',
    "--eval_sets={'q': '/home/bob/a b'}": "--eval_sets={'q': 'a b'}",
    "q=/home/bob/x": "q=x",
    "../bob/x": "x",
    "~/x": "x",
    "~bob/my x": "my x",
    "/home/bob/": "bob",
}


@pytest.mark.parametrize(("typed", "recorded"), OUTSIDE.items())
def test_a_path_out_of_the_working_folder_is_reduced_to_its_last_name(typed, recorded, in_tmp):
    assert record_words([typed]) == (recorded,)


@pytest.mark.parametrize("typed", ["dante", "a/b.txt", "./x", "-", "0.1", "1/2", "/", "[1, 2]", ""])
def test_what_names_nothing_outside_stays_as_it_was_typed(typed, in_tmp):
    assert record_words([typed, f"--x={typed}"]) == (typed, f"--x={typed}")


def test_a_path_in_the_working_folder_is_relative_also_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "link")
    for place in ("real", "link"):
        assert record_path(str(tmp_path / place / "a b" / "x.txt")) == str(Path("a b", "x.txt"))
    assert record_path(str(tmp_path / "real")) == "."
    assert record_words([f"--input_file={tmp_path / 'real' / 'x'}"]) == ("--input_file=x",)


def test_a_sentence_keeps_its_words(in_tmp):
    told = "/home/bob/a does not say it; name another: mypt train /home/bob/b, or see 3 / 4 of c/d"
    assert record_text(told) == (
        "a does not say it; name another: mypt train b, or see 3 / 4 of c/d"
    )


def test_values_are_looked_through_at_every_level(in_tmp):
    assert record_value({"a": ("/x/y", 1, None), "b": {"c": "/z w/v"}}) == {
        "a": ["y", 1, None],
        "b": {"c": "v"},
    }


def test_keys_that_are_paths_are_reduced_too_and_none_is_lost(in_tmp):
    mixture = {"/home/bob/x.txt": 3, "/home/eve/x.txt": 1, "a/x.txt": 2, "<|end|>": 4}
    recorded = record_value({"mixture": mixture})["mixture"]
    assert recorded == {"x.txt": 3, "x.txt (2)": 1, "a/x.txt": 2, "<|end|>": 4}
