"""A run goes on from a sharded save of an earlier mypt, and ends as it would have then."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mypt.format.bundle.read import read_bundle
from mypt.format.shards.record import open_shards, read_state
from tests.golden.test_golden import GOLDEN, read_golden
from tests.golden.write_checkpoints import TEXT
from tests.golden.write_shards import collect_weights, train

FOLDERS = sorted(GOLDEN.glob("shards_*"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_run_goes_on_from_it_to_the_weights_of_the_run_that_nobody_interrupted(folder, in_tmp):
    golden = read_golden(folder)
    shutil.copy(TEXT, in_tmp)
    shards, model = Path("checkpoints") / golden.path.name, Path("checkpoints/dante")
    shutil.copytree(golden.path, shards)
    assert 0 < read_state(shards)["step"] < 6
    codes, said = train("dante")
    assert codes == [0, 0], said
    assert "missing" not in said[0]
    assert not shards.exists()
    assert read_bundle(model).training_state.step == 6
    weights, expected = collect_weights(model), np.load(folder / "expected_weights.npz")
    assert [*weights] == expected.files
    for name, values in weights.items():
        # One wrong step would move them by a hundredth; processors differ by far less.
        np.testing.assert_allclose(values, expected[name], atol=1e-4, rtol=0, err_msg=name)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_its_files_are_those_that_its_record_names(folder):
    opened = open_shards(read_golden(folder).path)
    assert {path.name for path in opened.generation.iterdir()} == opened.record.files.keys()
    opened.check(whole=True)
