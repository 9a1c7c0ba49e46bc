"""What a training state says of itself."""

from mypt.format.documents.training import TrainingState


def test_a_run_that_was_saved_before_its_first_evaluation_has_none():
    assert TrainingState(step=0).last_evaluation == -1
    assert TrainingState(step=7).last_evaluation == 7  # as other programs leave it
