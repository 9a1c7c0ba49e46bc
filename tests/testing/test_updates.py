"""The check of how a factory brings older settings up to date."""

import pytest

from mypt.plugins import GuardFactory, Verdict
from mypt.testing import ContractError, check_guard, check_update

SCHEMA = {"properties": {"rounds": {"type": "integer"}}, "additionalProperties": False}


def factory(update):
    return GuardFactory(
        "lenient",
        lambda options: lambda evaluation, memory: Verdict(None, {}),
        options=SCHEMA,
        update=update,
    )


def good(settings, origin):
    return {"rounds": settings["patience"]} if "patience" in settings else settings


def test_an_update_that_keeps_to_its_contract_passes():
    check_update(factory(good), {"patience": 3}, {"rounds": 3}, version=None)
    check_guard(factory(good), {"rounds": 2})


def test_one_that_returns_something_else_than_wanted_does_not():
    with pytest.raises(ContractError, match=r"become .*3.*, not .*4"):
        check_update(factory(good), {"patience": 3}, {"rounds": 4})


def test_a_factory_without_one_does_not():
    with pytest.raises(ContractError, match="it has no `update`"):
        check_update(factory(None), {}, {})


def counting(settings, origin):
    return {"rounds": settings.get("rounds", 0) + 1}


def test_one_that_changes_settings_of_today_is_found_by_each_check():
    with pytest.raises(ContractError, match="settings of today"):
        check_update(factory(counting), {}, {"rounds": 1})
    with pytest.raises(ContractError, match="settings of today"):
        check_guard(factory(counting), {"rounds": 2})


def in_place(settings, origin):
    settings["rounds"] = settings.pop("patience", 1)
    return settings


def unsteady(made=[]):  # noqa: B006
    def update(settings, origin):
        made.append(None)
        return {"rounds": len(made)}

    return update


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (in_place, "changes the settings that it is given"),
        (unsteady(), "something else the second time"),
        (lambda settings, origin: {"rounds": {1}}, "cannot be written as JSON"),
        (lambda settings, origin: {"lines": 3}, "its own schema rejects"),
        (lambda settings, origin: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_an_update_must_not_do_is_named(update, said):
    with pytest.raises(ContractError, match=said):
        check_update(factory(update), {"patience": 3}, {"lines": 3})
