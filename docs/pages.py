"""Find the pages of the documentation, where their links lead, and what is wrong with these.

A page is read in three places: in a checkout, on a code host, and on the site. The rule of links
is the same for all: a link names a file or folder of the repository, by its path from the page. On
the site, what is in `docs` keeps its path, and whatever else is linked is below `repository`: a
page as a page, a folder as a list of what it holds, any other file as it is. No link leads out of
the site unless it names a host. One exception: a definition (`[1.0.0]: ../../releases/...`) that
leads out of the repository means a page of the code host; what refers to it is no link on the site.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
# Where reading begins; what these link to, and so on, is part of the documentation too.
ENTRIES = ("docs/**/*.md", "*.md", "benchmarks/README.md", "plugins/*/README.md")
OUTSIDE = PurePosixPath("repository")

FENCE = r"^ *(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^ *(?P=fence) *$"
CODE = r"(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
LINK = r"(?P<start>\]\()(?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?=[)\s])"
DEFINITION = r"^(?P<label>\[[^\]\n]+\]: +)(?P<defined>\S+)$\n?"
LINKS = re.compile(f"{FENCE}|{DEFINITION}|{CODE}|{LINK}", re.MULTILINE | re.DOTALL)
HEADINGS = re.compile(rf"{FENCE}|^#+ +(?P<title>.+?) *#*$", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\bid=\"([^\"]+)\"")


def find_pages(root: Path = ROOT) -> list[PurePosixPath]:
    """Return the paths, from the root, of all pages, files and folders that the site has."""
    found = {_name(path, root) for pattern in ENTRIES for path in root.glob(pattern)}
    waiting = [*found]
    while waiting:
        for _, path, _ in links_of(waiting.pop(), root):
            if path is not None and path not in found and (root / path).exists():
                found.add(path)
                waiting.append(path)
    return sorted(found)


def _name(path: Path, root: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(root).as_posix())


def text_of(page: PurePosixPath, root: Path = ROOT) -> str:
    """Return a page as Markdown: that of a folder lists what is in it; other files have none."""
    path = root / page
    if path.is_dir():
        return list_folder(path)
    return path.read_text(encoding="utf-8") if path.suffix == ".md" else ""


def list_folder(folder: Path) -> str:
    """Return a page that links what a folder holds: its files, and folders with a README."""
    entries = [
        path / "README.md" if path.is_dir() else path
        for path in sorted(folder.iterdir())
        if path.is_dir() or path.suffix in {".json", ".md"}
    ]
    names = [path.relative_to(folder).as_posix() for path in entries if path.exists()]
    rows = [f"- [{name.removesuffix('/README.md')}]({name})" for name in names]
    return "\n".join([f"# {folder.name}", "", *rows, ""])


def links_of(
    page: PurePosixPath, root: Path = ROOT
) -> Iterator[tuple[str, PurePosixPath | None, str]]:
    """Yield each link of a page to another place in the repository.

    Yields:
        The link as it is written; the path from the root that it means, None for one that leads
        out of the repository; the anchor in it, or "".
    """
    for found in LINKS.finditer(text_of(page, root)):
        target = found["target"] or found["defined"]
        if target and "://" not in target and not target.startswith("mailto:"):
            name, _, anchor = target.partition("#")
            path = resolve(page, name, root)
            if path is not None or found["target"]:
                yield target, path, anchor


def resolve(page: PurePosixPath, name: str, root: Path = ROOT) -> PurePosixPath | None:
    """Return the path from the root that a link means; None if it leads out of it."""
    folder = page if (root / page).is_dir() else page.parent
    path = os.path.normpath(folder / name) if name else str(page)
    return None if path.startswith("..") else PurePosixPath(path)


def anchors_of(page: PurePosixPath, root: Path = ROOT) -> set[str]:
    """Return what may follow `#` in a link to a page: its headings, as code hosts name them."""
    text = text_of(page, root)
    titles = [found["title"] for found in HEADINGS.finditer(text) if found["title"]]
    return {*map(slug, titles), *ID.findall(text)}


def slug(title: str) -> str:
    """Return the anchor of a heading.

    >>> slug("4. `config.json`, and [more](x.md)")
    '4-configjson-and-more'
    """
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[^\w\- ]", "", shown).strip().lower().replace(" ", "-")


def broken_links(root: Path = ROOT) -> list[str]:
    """Return a line for each link of the documentation that leads nowhere."""
    pages = find_pages(root)
    anchors = {page: anchors_of(page, root) for page in pages}
    return [
        f"{page}: {target}: {problem}"
        for page in pages
        for target, path, anchor in links_of(page, root)
        if (problem := _problem_of(path, anchor, anchors))
    ]


def _problem_of(
    path: PurePosixPath | None, anchor: str, anchors: dict[PurePosixPath, set[str]]
) -> str:
    if path not in anchors:
        return "no such file or folder in the repository"
    return "no heading has this anchor" if anchor and anchor not in anchors[path] else ""


def place_of(page: PurePosixPath, root: Path = ROOT) -> PurePosixPath:
    """Return where a page, file or folder is among the pages of the site."""
    inside = page.is_relative_to("docs")
    place = page.relative_to("docs") if inside else OUTSIDE / _visible(page)
    if (root / page).is_dir():
        return place / "index.md"
    return place


def _visible(page: PurePosixPath) -> PurePosixPath:
    """Return a path without the dots that hide files and folders: a site has none of these."""
    return PurePosixPath(*(part.removeprefix(".") for part in page.parts))


def on_site(page: PurePosixPath, root: Path = ROOT) -> str:
    """Return a page with its links as they must be on the site."""
    place = place_of(page, root)

    def rewrite(found: re.Match[str]) -> str:
        target = found["target"] or found["defined"]
        if not target or "://" in target or target.startswith(("#", "mailto:")):
            return found[0]
        name, mark, anchor = target.partition("#")
        path = resolve(page, name, root)
        if path is None:
            return ""
        where = f"{os.path.relpath(place_of(path, root), place.parent)}{mark}{anchor}"
        return f"{found['label']}{where}\n" if found["defined"] else f"{found['start']}{where}"

    return LINKS.sub(rewrite, text_of(page, root))
