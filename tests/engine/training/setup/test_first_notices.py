"""What a resumed run says before its first step."""

import pytest

from tests.cli.commands.test_train import BRIEF, SMALL, documents


@pytest.fixture
def train(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)

    def call(*flags):
        return cli("train", "--model_name", "cat", *flags)

    return call


def test_gold_by_another_measure_begins_anew(train, in_tmp):
    (in_tmp / "other.txt").write_text("xyzzy " * 300)
    (in_tmp / "all.txt").write_text("xyzzy " * 20 + (in_tmp / "input.txt").read_text())
    begin = ("--input_file", "all.txt", *SMALL, *BRIEF, "--eval_sets", '{"o": "other.txt"}')
    assert train(*begin, "--max_iters", "20")[0] == 0
    about = "the next best model replaces checkpoints/cat_gold; copy it to keep it"
    _, out, _ = train(*begin, "--max_iters", "30")
    assert "Gold begins anew" not in out
    _, out, _ = train(*begin, "--max_iters", "40", "--gold_metric", '{"o": 1}')
    assert f"Gold begins anew, since gold_metric changed: {about}" in out
    told = [line for line in out.splitlines() if "GOLD checkpoint!" in line]
    assert len(told) >= 1
    assert all("gold_loss=" in line for line in told)
    state = documents(in_tmp / "checkpoints" / "cat")["training_state"]
    assert f"gold_loss={state['gold']['best_val_loss']:.4f})" in out
    _, out, _ = train(
        *begin[2:], "--input_file", "input.txt", "--max_iters", "50", "--gold_metric", "{}"
    )
    assert f"Gold begins anew, since gold_metric changed: {about}" in out
    _, out, _ = train(*begin, "--max_iters", "60")
    assert f"Gold begins anew, since the data changed: {about}" in out
