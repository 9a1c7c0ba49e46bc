"""What is known of a model that was read from a checkpoint, and what that still holds."""

import shutil

import pytest
import torch

import mypt
from mypt.engine.checkpoints.origin import find_optimizer, lineage_from
from mypt.engine.checkpoints.write import weights_of
from mypt.engine.history import History
from mypt.format.bundle.read import read_bundle
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import committed_files, read_manifest


@pytest.fixture
def cat(bundle, tmp_path):
    """A trained model of one's own."""
    return shutil.copytree(bundle, tmp_path / "cat")


def test_a_loaded_model_knows_its_run_and_its_file(cat):
    history = mypt.load(cat).history
    assert history.state == read_bundle(cat).training_state
    assert history.path == cat.resolve()
    assert history.digests == {read_manifest(cat).files["model.pt"].sha256}
    assert history.doubts == ()


def test_a_model_of_the_earlier_mypt_knows_its_step_and_what_is_in_doubt(fixtures):
    path = fixtures / "mypt" / "legacy_latest_char" / "latest.pt"
    history = mypt.load(path).history
    assert history.step == mypt.get_model_info(path)["training_state"]["step"] > 0
    assert history.digests == set()
    assert "saved by another program" in history.doubts[0]


def test_the_moments_are_read_from_the_bundle_that_still_holds_the_model(cat, plugins):
    history = mypt.load(cat).history
    moments, saved = find_optimizer(history, plugins), read_bundle(cat).optimizer()
    assert torch.equal(
        moments["state"]["ln_f.weight"]["exp_avg"], saved["state"]["ln_f.weight"]["exp_avg"]
    )
    shutil.rmtree(cat)
    assert find_optimizer(history, plugins) is None


def test_moments_of_later_updates_are_not_the_models(cat, plugins):
    history = mypt.load(cat).history
    _, paths = committed_files(cat)
    contents = {name: path.read_bytes() for name, path in paths.items()}
    other = mypt.load(cat)
    with torch.no_grad():
        other.lm_head.weight.mul_(2)
    other.save(cat.with_name("other"))
    contents["model.pt"] = (cat.with_name("other") / "model.pt").read_bytes()
    with open_for_writing(cat) as writer:
        writer.commit(contents, written_by="")
    assert find_optimizer(history, plugins) is None
    assert find_optimizer(mypt.load(cat).history, plugins) is not None


def test_the_ancestor_is_named_by_the_digest_of_its_file(cat):
    model = mypt.load(cat)
    (ancestor,) = lineage_from(model.history, weights_of(model))
    assert (ancestor.model, ancestor.step) == ("cat", 60)
    assert ancestor.sha256 == read_manifest(cat).files["model.pt"].sha256


def test_a_new_model_has_no_ancestor(cat):
    assert lineage_from(History(), weights_of(mypt.load(cat))) == ()
