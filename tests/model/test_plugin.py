import subprocess
import sys

from mypt.format import layout


def test_every_built_in_layout_has_its_part(plugins):
    assert {part: plugins.layouts[part] for part in layout.BUILT_IN} == layout.BUILT_IN


def test_offering_parts_does_not_import_torch():
    code = (
        "import sys, mypt.model.plugin as p; p.mypt_parts(); "
        "import mypt.plugins.parts, mypt.model.assembly, mypt.model.kv_cache; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
