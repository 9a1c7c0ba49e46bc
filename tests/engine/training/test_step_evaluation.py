"""An evaluation is told of as it goes."""


def test_an_evaluation_is_told_of_batch_by_batch(heard_fit):
    _, heard = heard_fit(max_iters=1, eval_iters=3)
    (begin, *_) = [n for n, event in enumerate(heard) if event["event"] == "training_start"]
    told = heard[begin + 1 :]
    assert told[:6] == [
        {"event": "evaluating", "iter": 0, "done": done, "total": 6} for done in range(6)
    ]
    assert told[6]["event"] == "eval"
