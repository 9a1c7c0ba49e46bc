import hashlib
import json

import pytest
from attrs import evolve

from mypt.format.bundle.edits import EDITED
from mypt.format.errors import FormatError, Problem
from mypt.format.open import open_checkpoint
from mypt.format.opened import digest_tensor_files, log_warnings
from mypt.plugins.manager import load_plugins


@pytest.fixture
def opened(bundle):
    return open_checkpoint(bundle, load_plugins())


def flaw(file, what, **more):
    return Problem(file, "", what, "restore it", **more)


def test_one_warning_is_given_for_each_damaged_file_of_training(opened):
    flaws = (flaw("a.pt", "is cut"), flaw("a.pt", "is torn"), flaw("b.json", "is empty"))
    lines = evolve(opened, flaws=flaws).warnings
    assert lines == tuple(f"{f}; only training needs it" for f in (flaws[0], flaws[2]))


def test_only_edits_that_change_what_the_model_computes_are_warnings(bundle, edit):
    state, config = bundle / "training_state.json", bundle / "config.json"
    training = json.loads(state.read_text())["training_config"]
    edit(state, training_config={**training, "batch_size": 9})
    edit(config, dropout=0.25, norm_eps=1e-6)
    opened = open_checkpoint(bundle, load_plugins())
    assert len([edit for edit in opened.edits if edit.kind == EDITED]) == len(opened.edits) > 1
    (warning,) = opened.warnings
    assert "norm_eps" in warning


def test_notices_of_a_bundle_say_how_severe_each_is_and_those_of_a_reader_do_not(opened):
    found = flaw("config.json", "has an odd field", severity="warning")
    assert evolve(opened, found=(found,), notes=(str(found),)).notices == (f"warning: {found}",)
    assert evolve(opened, found=(), notes=("half of it is ours",)).notices == (
        "half of it is ours",
    )


def test_remarks_come_before_warnings_in_the_log_each_on_one_line(opened, caplog):
    told = evolve(opened, remarks=("two\nlines",), plugin_changes=(flaw("x", "is newer"),))
    log_warnings(told)
    assert caplog.messages == [r"two\nlines", str(told.plugin_changes[0])]


def test_training_is_refused_without_a_vocabulary_and_says_where_it_belongs(opened, bundle):
    assert opened.need_tokenizer() is opened.tokenizer
    with pytest.raises(FormatError, match=r"tokenizer.json: is missing; restore it"):
        evolve(opened, tokenizer=None).need_tokenizer()
    file = bundle / "model.pt"
    with pytest.raises(FormatError, match=r"model.pt: has no tokenizer, .*; use a copy"):
        evolve(opened, tokenizer=None, path=file).need_tokenizer()


def test_what_a_tokenizer_lacks_is_an_error_and_what_a_part_lacks_is_not(opened):
    lacking = (
        flaw("config.json", "has a part of a plugin", severity="warning"),
        flaw("tokenizer.json", "needs a plugin", severity="warning"),
    )
    evolve(opened, lacking=lacking[:1]).check_tokenizer()
    with pytest.raises(FormatError) as caught:
        evolve(opened, lacking=lacking).check_tokenizer()
    assert [(p.file, p.severity) for p in caught.value.problems] == [("tokenizer.json", "error")]


def test_all_flaws_are_raised_at_once(opened):
    opened.check_flaws()
    flaws = (flaw("a.pt", "is cut"), flaw("b.json", "is empty"))
    with pytest.raises(FormatError) as caught:
        evolve(opened, flaws=flaws).check_flaws()
    assert caught.value.problems == flaws


def test_digests_are_those_of_the_manifest_or_computed_where_there_is_none(opened, bundle):
    real = {
        name: hashlib.sha256((bundle / name).read_bytes()).hexdigest()
        for name in ("model.pt", "optimizer.pt")
    }
    assert digest_tensor_files(opened) == real == digest_tensor_files(evolve(opened, manifest=None))
    (bundle / "model.pt").write_bytes(b"other")
    assert digest_tensor_files(opened) == real
    assert digest_tensor_files(evolve(opened, manifest=None)) != real


def test_a_tokenizer_that_was_saved_and_is_gone_is_warned_of(bundle, opened):
    assert opened.warnings == ()
    (bundle / "tokenizer.json").unlink()
    (warning,) = open_checkpoint(bundle, load_plugins()).warnings
    assert warning.startswith(f"{bundle}/tokenizer.json: is missing; restore it")
    (bundle / "manifest.json").unlink()
    assert open_checkpoint(bundle, load_plugins()).warnings == ()  # it may never have had one
