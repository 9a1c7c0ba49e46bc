import pytest

from mypt.format.layout import BUILT_IN
from mypt.format.readers.hugging_face.families.gpt_like.alibi import ALIBI, LAYOUTS, PACKAGE
from mypt.testing import TINY

pytest.importorskip("mypt_alibi")
SLOT = ("pos_encoding", ALIBI)


def test_the_plugin_that_mypt_offers_has_the_part(plugins):
    assert LAYOUTS.keys() - BUILT_IN.keys() == {SLOT}
    assert LAYOUTS[SLOT](TINY) == plugins.layouts[SLOT](TINY)
    assert plugins.settings[SLOT].package == PACKAGE
