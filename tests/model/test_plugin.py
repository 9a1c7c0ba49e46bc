import subprocess
import sys

from mypt.format import layout


def test_every_built_in_layout_has_its_part(plugins):
    assert plugins.layouts == layout.BUILT_IN


def test_offering_parts_does_not_import_torch():
    code = (
        "import sys, mypt.model.plugin as p; p.mypt_parts(); "
        "import mypt.model.parts, mypt.model.cache; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
