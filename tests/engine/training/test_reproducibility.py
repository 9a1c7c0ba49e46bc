from attrs import evolve

from mypt.engine.language_model import LanguageModel
from mypt.engine.training.reproducibility import environment_of, inexact_reasons
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import DataFingerprint, TrainingConfig, TrainingState
from mypt.format.version import MYPT_VERSION

MODEL = LanguageModel(GPTConfig(block_size=4, vocab_size=5, n_embd=4, n_head=1, n_layer=1))
STATE = TrainingState(
    step=5,
    training_config=TrainingConfig(),
    data=DataFingerprint(source="a.txt", sha256="0" * 64, train_tokens=1000, val_tokens=100),
    environment=environment_of(MODEL, TrainingConfig()),
)


def reasons(previous=STATE, fresh=(0, 9), doubts=(), **changed):
    state = evolve(previous, **changed)
    return inexact_reasons(previous, state, fresh=fresh, doubts=doubts)


def test_the_same_run_goes_on_exactly():
    assert reasons() == []


def test_what_changes_a_weight_is_named_and_what_does_not_is_not():
    training = evolve(STATE.training_config, learning_rate=0.5, log_file="x", eval_interval=3)
    (reason,) = reasons(training_config=training)
    assert reason.startswith("step 5: learning_rate changed from ")


def test_another_machine_is_named():
    there = evolve(STATE.environment, threads=99, world_size=2)
    assert [reason.split()[2] for reason in reasons(environment=there)] == ["threads", "world_size"]


def test_another_mypt_is_named():
    assert STATE.environment.mypt == MYPT_VERSION
    (reason,) = reasons(environment=evolve(STATE.environment, mypt="9.0"))
    assert reason == f"step 5: mypt changed from {MYPT_VERSION} to 9.0"


def test_a_plugin_of_another_version_is_named():
    def using(version):
        plugins = {"acme": {"version": version, "needed_for": ["train"]}}
        return evolve(STATE.environment, plugins=plugins)

    before = evolve(STATE, environment=using("1.0"))
    assert reasons(before, environment=using("1.0")) == []
    (reason,) = reasons(before, environment=using("1.1"))
    assert reason == "step 5: the plugin acme changed from 1.0 to 1.1"


def test_other_data_are_named_and_another_name_of_the_same_is_not():
    assert reasons(data=evolve(STATE.data, source="b.txt")) == []
    (reason,) = reasons(data=evolve(STATE.data, sha256="1" * 64, train_tokens=999))
    assert "1,000 and 100 tokens before, 999 and 100 now" in reason


def test_what_is_not_known_of_a_run_counts_once_it_has_begun():
    unknown = TrainingState(step=5)
    assert len(reasons(unknown, fresh=(9, 9))) == 3
    assert reasons(TrainingState(step=0), fresh=(9, 9)) == []


def test_doubts_of_the_files_come_last():
    assert reasons(doubts=["x"]) == ["step 5: x"]
