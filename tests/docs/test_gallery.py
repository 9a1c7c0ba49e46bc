"""Each picture of the gallery is made by its script, is on its page, and is small."""

import re

import pytest

PICTURE = re.compile(r"!\[[^\]]+\]\(gallery/([^)]+)\)")
LARGEST = 100_000


@pytest.fixture
def gallery(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "docs")
    import write_gallery

    return write_gallery


def test_every_picture_is_made_by_the_script_and_named_on_the_page(gallery, root):
    page = (root / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert sorted(PICTURE.findall(page)) == sorted(gallery.PICTURES)
    assert sorted(path.name for path in gallery.FOLDER.iterdir()) == sorted(gallery.PICTURES)


def test_pictures_are_small_and_load_nothing(gallery):
    for path in gallery.FOLDER.iterdir():
        assert path.stat().st_size < LARGEST, path
        if path.suffix == ".svg":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?:href|src)=\"http|url\(\"?http|@import|<script", text), path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.svg", "terminal-runs.svg", "terminal-rates.svg"])
def test_a_picture_is_drawn_anew_to_the_byte(gallery, tmp_path, name):
    drawn = []
    for number in range(2):
        folder, target = tmp_path / f"models-{number}", tmp_path / f"pictures-{number}"
        folder.mkdir()
        target.mkdir()
        gallery.train(
            folder, {*gallery.PICTURES[name].split()}, max_iters=6, warmup_iters=2, eval_iters=1
        )
        gallery.draw(name, folder, target)
        drawn.append((target / name).read_bytes())
    assert drawn[0] == drawn[1]
