from mypt.format.shards.places import (
    RECORD,
    find_generations,
    generation_path,
    holds_shards,
    model_path,
    shards_path,
)


def test_the_folder_of_shards_is_beside_that_of_the_model(tmp_path):
    assert shards_path(tmp_path / "dante") == tmp_path / "dante_shards"
    assert model_path(tmp_path / "dante_shards") == tmp_path / "dante"
    assert model_path(tmp_path / "_shards") == tmp_path / "_shards"


def test_generations_are_found_by_their_number_and_nothing_else_is(tmp_path):
    generation_path(tmp_path, 12).mkdir()
    generation_path(tmp_path, 12_345_678).mkdir()
    for name in ("generation-12", "generation-000012.old", "generations"):
        (tmp_path / name).mkdir()
    assert dict(find_generations(tmp_path)) == {
        12: tmp_path / "generation-000012",
        12_345_678: tmp_path / "generation-12345678",
    }


def test_a_record_makes_a_sharded_save_whatever_it_says(tmp_path):
    assert not holds_shards(tmp_path)
    (tmp_path / RECORD).touch()
    assert holds_shards(tmp_path)
