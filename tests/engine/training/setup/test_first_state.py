"""What a resumed run says of itself where it is not the run of before."""

from tests.engine.training.test_trainer import (
    RUN,
    digests,
    fit,
    go_on,
    interrupt_after,
    loader_of,
    new_model,
)


def test_a_resume_without_the_optimizer_differs_and_is_recorded(text, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(new_model(text, dropout=0.2), text, whole, max_iters=12, **RUN)
    interrupt_after(6, new_model(text, dropout=0.2), text, broken, max_iters=12, **RUN)
    (broken / "optimizer.pt").unlink()
    (broken / "manifest.json").unlink()
    state = go_on(broken, text)
    assert digests(broken) != digests(whole)
    assert not state.exact
    assert state.inexact_reasons == (
        "step 6: there was no optimizer state, so a fresh one begins",
        "step 6: there was no manifest.json",
    )


def test_a_resume_on_other_data_is_recorded(text, tmp_path):
    broken = tmp_path / "broken"
    interrupt_after(6, new_model(text), text, broken, max_iters=12, **RUN)
    state = go_on(broken, text[::-1] + "the mat")
    assert not state.exact
    before, after = loader_of(new_model(text), text), loader_of(new_model(text), text + "the mat")
    counts = [
        f"{d.train_tokens:,} and {d.val_tokens:,}" for d in (before.fingerprint, after.fingerprint)
    ]
    assert state.inexact_reasons[0] == (
        f"step 6: the data changed (text has other content: {counts[0]} tokens before, "
        f"{counts[1]} now)"
    )
