import pytest

from mypt.format.rules.plugin_versions import list_version_changes


def need(version, *purposes):
    return {"acme": {"version": version, "needed_for": [*purposes]}}


@pytest.mark.parametrize("purposes", [("read", "generate", "train"), ("train",)])
def test_another_version_is_a_change_whatever_it_is_needed_for(purposes):
    before, now = need("1.0", *purposes), need("2.0", *purposes)
    assert list(list_version_changes(before, now)) == [("acme", "1.0", "2.0")]
    assert list(list_version_changes(before, before)) == []


def test_what_computes_may_neither_come_nor_go():
    computes = need("1.0", "generate", "train")
    other = {"other": computes["acme"]}
    assert list(list_version_changes(computes, {})) == [("acme", "1.0", None)]
    assert list(list_version_changes({}, computes)) == [("acme", None, "1.0")]
    changes = [("acme", "1.0", None), ("other", None, "1.0")]
    assert list(list_version_changes(computes, other)) == changes


def test_a_guard_comes_and_goes():
    assert list(list_version_changes(need("1.0", "train"), {})) == []
    assert list(list_version_changes({}, need("1.0", "train"))) == []
