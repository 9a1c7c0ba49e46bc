import mypt
from mypt.engine.config.folders import CHECKPOINTS, LOGS


def test_names_are_looked_up_below_the_current_folder(bundle, in_tmp, monkeypatch):
    (in_tmp / "here" / CHECKPOINTS).mkdir(parents=True)
    (in_tmp / "here" / CHECKPOINTS / "cat").symlink_to(bundle)
    monkeypatch.chdir(in_tmp / "here")
    assert mypt.get_model_info("cat")["training_state"]["step"] == 60
    assert not LOGS.is_absolute()
