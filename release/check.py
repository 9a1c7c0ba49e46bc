"""Whether this tree may be released: what it says of itself is of one version, and of today.

`check.py v1.2.3` looks at a tree that has this tag, before it is uploaded: is the tag that of its
version, and of a commit of main? Its day is that on which it was tagged.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r'^MYPT_VERSION = "([^"]+)"$', re.MULTILINE)
SECTION = re.compile(r"^## \[([^]]+)\](?: - (\S+))?\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
NO_VERSION = "mypt/format/version.py has no line MYPT_VERSION; restore it"
CITED = re.compile(r"^(version|date-released): (\S+)$", re.MULTILINE)


def read_version(root: Path) -> str:
    """Return the version that the tree has; "" if it names none."""
    text = (root / "mypt" / "format" / "version.py").read_text("utf-8")
    return next(iter(VERSION.findall(text)), "")


def find_problems(root: Path, today: date) -> Iterator[str]:
    """Yield what stands in the way of tagging a release, a line each, with what to do."""
    version = read_version(root)
    if not version:
        yield NO_VERSION
        return
    if (branch := run_git(root, "rev-parse", "--abbrev-ref", "HEAD")) != "main":
        yield f"this is {branch}, and releases are made from main; run: git switch main"
    if run_git(root, "tag", "--list", f"v{version}"):
        yield f"v{version} was released before; raise MYPT_VERSION in mypt/format/version.py"
    yield from find_problems_of_tree(root, version, today)


def find_tag_problems(root: Path, tag: str) -> Iterator[str]:
    """Yield what stands in the way of uploading a release, a line each."""
    version, commit = read_version(root), f"{tag}^{{commit}}"
    if not version:
        yield NO_VERSION
        return
    if not run_git(root, "tag", "--list", tag):
        yield f"there is no tag {tag}; name one, or leave it out before a release"
        return
    if tag != f"v{version}":
        yield f"the tag is {tag}, and the version {version}; tag it v{version}"
    if run_git(root, "rev-parse", commit) != run_git(root, "rev-parse", "HEAD"):
        yield f"{tag} is not the commit that is checked out; run: git switch --detach {tag}"
    mains = ("refs/heads/main", "refs/remotes/origin/main")
    if not run_git(root, "for-each-ref", "--contains", commit, *mains):
        yield f"{tag} is not on main; merge it, and tag that"
    tagged = run_git(root, "for-each-ref", "--format=%(creatordate:unix)", f"refs/tags/{tag}")
    day = datetime.fromtimestamp(int(tagged), UTC).date()
    yield from find_problems_of_tree(root, version, day)


def find_problems_of_tree(root: Path, version: str, today: date) -> Iterator[str]:
    """Yield where a tree is not of one version and one day."""
    if run_git(root, "status", "--porcelain"):
        yield "the tree has changes that are not committed; commit or remove them"
    for path in sorted(root.glob("plugins/*/pyproject.toml")):
        if f'version = "{version}"' not in path.read_text("utf-8").splitlines():
            yield f"{path.relative_to(root)} has another version than {version}; set it"
    yield from find_changelog_problems(root, version, today)
    cited = dict(CITED.findall((root / "CITATION.cff").read_text("utf-8")))
    if cited != {"version": version, "date-released": today.isoformat()}:
        yield f"CITATION.cff has not version {version} and date-released {today}; set them"


def find_changelog_problems(root: Path, version: str, today: date) -> Iterator[str]:
    """Yield what is wrong with the sections of the changelog."""
    sections = SECTION.findall((root / "CHANGELOG.md").read_text("utf-8"))
    if not sections or sections[0][0] != "Unreleased":
        yield "CHANGELOG.md does not begin with the section [Unreleased]; add it"
        return
    (_, _, waiting), *released = sections
    if waiting.strip():
        yield f"CHANGELOG.md has lines under [Unreleased]; move them to [{version}]"
    newest, day = released[0][:2] if released else ("", "")
    if (newest, day) != (version, today.isoformat()):
        yield f"CHANGELOG.md has no section [{version}] - {today} on top; write it"


def run_git(root: Path, *words: str) -> str:
    """Run git; return what it prints."""
    command = ["git", *words]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    """Print what stands in the way, and fail if anything does."""
    if tags := sys.argv[1:]:
        problems = list(find_tag_problems(ROOT, *tags))
    else:
        problems = list(find_problems(ROOT, datetime.now(UTC).date()))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
