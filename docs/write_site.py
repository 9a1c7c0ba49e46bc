"""Build the site of the documentation: `write_site.py [FOLDER]`, by default `build/docs`.

It copies the pages beside `zensical.toml`, with a navigation made from the folders that they are
in, runs Zensical on them, and then looks at the site itself: each link in it must lead somewhere in
it, and nothing in it may be loaded from elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pages import ROOT, find_pages, on_site, place_of, text_of

if TYPE_CHECKING:
    from pathlib import PurePosixPath

SITE = ROOT / "docs" / "site"
BUILD = ROOT / "build" / "docs"
API = tuple(f"reference/api/{name}.md" for name in ("mypt", "plugins", "testing", "format"))
HOW_TO = """
    train fine-tune data sweep generate chat-templates chat serve compare checkpoints other-programs
    export write-a-plugin
"""
# The sections, by the folder that their pages are in, and which pages come first there.
SECTIONS = {
    "Start": (".", ("index.md", "gallery.md")),
    "For you": (
        "for",
        ("laptop.md", "gpu.md", "old-checkpoints.md", "plugin-author.md", "server.md"),
    ),
    "Tutorial": ("tutorial", ("first-model.md",)),
    "How to": ("how-to", tuple(f"{name}.md" for name in HOW_TO.split())),
    "Reference": (
        "reference",
        ("commands.md", "library.md", "hooks.md", "bundle.md", "names.md", *API),
    ),
    "Explanation": ("explanation", ("promises.md", "comparison.md", "known-limits.md")),
    "Specification": ("specification", ()),
    "Project": ("repository", ("CHANGELOG.md", "repository/README.md")),
}
# What a browser loads by itself, by the tag and attribute that name it.
LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
IMPORTED = re.compile(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')\s]+)")


def main() -> None:
    """Build the site, or exit with what is wrong with it."""
    build = Path(sys.argv[1]) if sys.argv[1:] else BUILD
    shutil.rmtree(build, ignore_errors=True)
    copy_pages(build / "pages")
    settings = (SITE / "zensical.toml").read_text(encoding="utf-8")
    filled = settings.replace("nav = []", f"nav = {to_toml(navigation())}")
    (build / "zensical.toml").write_text(filled, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, cwd=build, check=False, env={**os.environ, "PYTHONPATH": path})  # noqa: S603
    wrong = [] if done.returncode else problems(build / "site")
    if done.returncode or wrong:
        sys.exit("\n".join(wrong) or done.returncode)
    sys.stdout.write(f"Open {os.path.relpath(build)}/site/index.html in a browser.\n")


def copy_pages(folder: Path) -> None:
    """Copy all pages, and what they link to, into a folder."""
    for page in find_pages():
        target = folder / place_of(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / page).is_dir() or page.suffix == ".md":
            target.write_text(on_site(page), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / page, target)
    for name in ("site.css", "iframe-worker.js"):
        shutil.copyfile(SITE / name, folder / name)


def navigation() -> list[tuple[str, object]]:
    """Return the titles and pages of each section, each page in the one of its folder."""
    places = {place_of(page): page for page in find_pages() if text_of(page)}
    rows: dict[str, list[PurePosixPath]] = {folder: [] for folder, _ in SECTIONS.values()}
    for place, page in places.items():
        folder = "." if len(place.parts) == 1 else place.parts[0]
        if folder not in rows:
            message = f"{page}: its folder is in no section of the site; add it to SECTIONS"
            raise ValueError(message)
        rows[folder].append(place)
    return [
        (title, _section([*map(str, first)], {place: places[place] for place in rows[folder]}))
        for title, (folder, first) in SECTIONS.items()
        if rows[folder]
    ]


def _section(first: list[str], places: dict[PurePosixPath, PurePosixPath]) -> list[tuple[str, str]]:
    def rank(place: PurePosixPath) -> tuple[int, int, str]:
        names = [str(place), place.name]
        found = [first.index(name) for name in names if name in first]
        return min(found, default=len(first)), len(place.parts), str(place)

    return [(title_of(places[place]), str(place)) for place in sorted(places, key=rank)]


def title_of(page: PurePosixPath) -> str:
    """Return the title of a page: its first heading, without what the section says already."""
    heading = text_of(page).lstrip().partition("\n")[0].removeprefix("# ").replace("`", "")
    title = heading.removeprefix("How to ")
    return title[0].upper() + title[1:] if title != heading else title


def to_toml(value: object) -> str:
    """Return a navigation as Zensical's TOML has it."""
    if isinstance(value, str):
        return f'"{value}"'
    rows = [f'{{ "{title}" = {to_toml(inner)} }}' for title, inner in value]  # type: ignore[attr-defined]
    return f"[{', '.join(rows)}]"


class Page(HTMLParser):
    """What a page of the site links to, what it loads, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links, anchors and what is loaded in a tag."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif (tag, name) in LOADED and value:
                self.loads.append(value)
            elif name == "href" and value:
                self.links.append(value)


def problems(site: Path) -> list[str]:
    """Return a line for each link that leads nowhere, and for each thing loaded from a host."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # it is for servers: its links begin at their root
        name = path.relative_to(site)
        for link in (*page.links, *page.loads):
            wrong = _problem_of(link, path, pages, loaded=link in page.loads)
            found += [f"{name}: {link}: {wrong}"] if wrong else []
    for path in site.rglob("*.css"):
        hosts = IMPORTED.findall(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)}: {host}: is loaded from a host" for host in hosts]
    return sorted({*found})


def _problem_of(link: str, path: Path, pages: dict[Path, Page], *, loaded: bool) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return "is loaded from a host" if loaded and parts.scheme != "data" else ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file in the site"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "no such anchor"
    return ""


if __name__ == "__main__":
    main()
