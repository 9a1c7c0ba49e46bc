from mypt.format.optimizers.document import optimizer_document


def test_the_state_follows_the_groups_and_groups_of_nothing_are_left_out():
    state = {"a": {"step": 1}, "c": {"step": 3}}
    groups = [(["c", "b"], {"lr": 1}), ([], {"lr": 2}), (("a",), {"lr": 3})]
    document = optimizer_document("mine", state, groups)
    assert document == {
        "optimizer": "mine",
        "state": {"c": {"step": 3}, "a": {"step": 1}},
        "param_groups": [{"lr": 1, "params": ["c", "b"]}, {"lr": 3, "params": ["a"]}],
    }
    assert [*document["state"]] == ["c", "a"]
