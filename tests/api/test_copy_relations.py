"""Which checkpoint is a copy of which follows from what they record."""

from pathlib import Path

from mypt.api.copy_relations import Member, Relation, find_relations


def member(name, modified=0.0, **known):
    return Member(path=Path("runs") / name, modified=modified, **known)


def test_of_equal_weights_the_oldest_is_the_original_and_of_a_run_the_one_trained_longest():
    found = find_relations(
        [
            member("c", 3.0, step=10, run_id="r", digest="x"),
            member("b", 1.0, step=10, run_id="r", digest="x"),
            member("a", 0.0, step=5, run_id="r", digest="y"),
            member("d", 0.0, step=5, run_id="s", digest="z"),
        ]
    )
    assert found == {
        Path("runs/c"): Relation("same weights", Path("runs/b")),
        Path("runs/a"): Relation("same run", Path("runs/b")),
    }


def test_what_nothing_is_recorded_of_is_no_copy():
    assert find_relations([member("a"), member("a_gold"), member("b")]) == {}


def test_a_copy_belongs_to_the_model_beside_it_or_to_the_one_of_its_run():
    found = find_relations(
        [
            member("cat", run_id="r"),
            member("cat_gold", copy_of="cat", run_id="r"),
            member("renamed", run_id="s", step=9),
            member("dog_step00000004", copy_of="dog", run_id="s"),
            member("kept", copy_of="dog", run_id="s"),
            member("bird_fp16", copy_of="bird", run_id="t"),
            member("fish_gold", copy_of="fish"),
        ]
    )
    assert found == {
        Path("runs/cat_gold"): Relation("gold", Path("runs/cat")),
        Path("runs/dog_step00000004"): Relation("step", Path("runs/renamed")),
        Path("runs/kept"): Relation("copy", Path("runs/renamed")),
        Path("runs/bird_fp16"): Relation("fp16", "bird"),
        Path("runs/fish_gold"): Relation("gold", "fish"),
    }


def test_a_copy_that_is_looked_at_from_within_has_a_model_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "cat_gold").mkdir()
    monkeypatch.chdir(tmp_path / "cat_gold")
    gold = Member(path=Path(), modified=0.0, copy_of="cat")
    assert find_relations([gold]) == {Path(): Relation("copy", "cat")}
