import sys

import pytest

from mypt.format.errors import PluginError
from mypt.format.version import MYPT_VERSION
from mypt.plugins.faults import find_unmet
from mypt.plugins.manager import load_plugins
from tests.support.installed import GUARD, install, others

LAZY = """
from mypt.plugins import GuardFactory, hookimpl

def build(options):
    import acme_base

@hookimpl
def mypt_gold_guards():
    return [GuardFactory("lazy", build)]
"""


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Give what installs acme-needy with requirements, and finds the plugins then."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    monkeypatch.syspath_prepend(tmp_path)

    def call(*requires, code=GUARD):
        code = code.replace("{name}", "needy").replace("{{}}", "{}")
        install(tmp_path, "acme-needy", code, module="acme_needy", requires=requires)
        return load_plugins()

    yield call
    sys.modules.pop("acme_needy", None)


def told(plugins):
    plugins.load_all()
    (fault,) = plugins.faults
    return str(fault.problem).removeprefix("plugin acme-needy of acme-needy 1.0: ")


@pytest.mark.parametrize("name", ["mypt", "mypt-lm", "mypt_lm"])
def test_a_plugin_for_a_later_mypt_leads_to_an_update_of_mypt(plugins, name):
    found = plugins(f"{name}>=99")
    assert told(found) == (
        f"is not loaded: acme-needy requires {name}>=99, and {name} {MYPT_VERSION} is installed; "
        "update mypt: pip install -U mypt-lm, or disable it: mypt --disable-plugin acme-needy ... "
        "(or MYPT_DISABLE_PLUGINS=acme-needy)"
    )
    assert "needy" not in found.guards
    assert "acme_needy" not in sys.modules
    why, fix = found.explain_absence("acme-needy")
    assert (why, fix.split(";")[0]) == ("is broken", "update mypt: pip install -U mypt-lm")


def test_a_plugin_for_an_earlier_mypt_leads_to_an_update_of_the_plugin(plugins):
    assert "; update acme-needy: pip install -U acme-needy, or" in told(plugins("mypt-lm <0.0.1"))


@pytest.mark.parametrize(
    "requirement",
    [
        *("mypt-lm", f"mypt-lm>={MYPT_VERSION}", f"mypt-lm=={MYPT_VERSION}", "mypt-lm (>=0.0.1)"),
        *("mypt-lm>=99; extra == 'later'", "mypt-lm>=99.dev1", "mypt-lm @ file:///nowhere"),
    ],
)
def test_what_is_met_or_cannot_be_judged_is_loaded(plugins, requirement):
    found = plugins(requirement)
    assert "needy" in found.guards
    assert found.faults == []


def test_a_plugin_that_lacks_a_package_leads_to_its_installation(plugins):
    line = told(plugins("acme-base[all]>=1.2", code="import acme_base"))
    assert "cannot be loaded: ModuleNotFoundError: No module named 'acme_base'; " in line
    assert "acme-needy requires acme-base>=1.2, which is not installed; " in line
    assert "; install it: pip install 'acme-base>=1.2', or disable it: " in line


def test_so_does_a_function_that_imports_late(plugins):
    with pytest.raises(PluginError) as refused:
        plugins("acme-base", code=LAZY).guards["lazy"].build({})
    assert "failed in `build` of its gold guard `lazy`: ModuleNotFoundError" in str(refused.value)
    assert "; install it: pip install acme-base, or disable it" in str(refused.value)


def test_a_package_of_another_version_is_named_with_the_one_that_is_wanted(plugins):
    line = told(plugins("numpy>=99,<100", code="1 / 0"))
    assert "cannot be loaded: ZeroDivisionError" in line
    assert "acme-needy requires numpy>=99,<100, and numpy " in line
    assert "; install that: pip install 'numpy>=99,<100', or" in line


@pytest.mark.parametrize(
    ("limit", "met"),
    [
        *((">=1.2", True), (">=1.2.3", True), (">=1.3", False), (">1.2.3", False), (">1.2", True)),
        *(("==1.2.3", True), ("==1.2", False), ("==1.2.*", True), ("!=1.2.*", False)),
        *(("~=1.2", True), ("~=1.2.0", True), ("~=1.1.9", False), ("<1.3", True), ("<=1.2", False)),
        *((">=1,<2", True), (">=1,<1.2", False), ("===1.2.3", True)),
    ],
)
def test_limits_are_compared_as_numbers(plugins, tmp_path, limit, met):
    install(tmp_path, "acme-base", "", version="1.2.3rc1")
    plugins(f"acme-base{limit}")
    assert (find_unmet("acme-needy") is None) == met


def test_a_package_that_is_not_installed_requires_nothing():
    assert find_unmet("acme-nowhere") is None
