"""What the package says of itself beyond `pyproject.toml`: its links, and the README with them.

A clone does not know where its repository is published. Whoever builds a release says so, by
`MYPT_REPOSITORY`; without it the package has no links, and those of the README stay relative.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"\]\((?!\w+:|#)([^)\s]+)\)")
PICTURES = (".png", ".svg")


class LinksHook(MetadataHookInterface):
    """Sets `readme` and `urls`, also where a wheel is built from an sdist."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set what is dynamic, except for what the `PKG-INFO` of an sdist says already."""
        repository = os.environ.get("MYPT_REPOSITORY", "").rstrip("/")
        if repository:
            metadata.setdefault("urls", list_links(repository))
        if "readme" not in metadata:
            text = Path(self.root, "README.md").read_text("utf-8")
            if repository:
                text = link_to(repository, metadata["version"], text)
            metadata["readme"] = {"content-type": "text/markdown", "text": text}


def list_links(repository: str) -> dict[str, str]:
    """Return the links of the package, by their names."""
    main = f"{repository}/blob/main"
    return {
        "Repository": repository,
        "Documentation": f"{main}/README.md#documentation",
        "Changelog": f"{main}/CHANGELOG.md",
        "Policy": f"{main}/docs/explanation/policy.md",
        "Issues": f"{repository}/issues",
        "Security": f"{repository}/security/policy",
    }


def link_to(repository: str, version: str, text: str) -> str:
    """Lead the relative links of a page to the repository, as it was tagged for a version."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[1].endswith(PICTURES) else "blob"
        return f"]({repository}/{kind}/v{version}/{link[1]})"

    return RELATIVE.sub(absolute, text)
