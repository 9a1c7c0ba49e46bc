"""Build mypt and its plugin packages, an sdist and a wheel each, and check them as an index does.

With `MYPT_REPOSITORY` set to the address of the repository, the packages of mypt carry its links.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def list_projects(root: Path) -> list[Path]:
    """Return the folders of all packages, that of mypt first."""
    return [root, *sorted(path.parent for path in root.glob("plugins/*/pyproject.toml"))]


def build(root: Path, output: Path) -> list[Path]:
    """Build every package into a folder, which is emptied first; return the files."""
    shutil.rmtree(output, ignore_errors=True)
    for project in list_projects(root):
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(output.resolve())]
        subprocess.run(command, cwd=project, check=True)
    return sorted(path for path in output.iterdir() if path.suffix in {".gz", ".whl"})


def main() -> None:
    """Build all into `dist/`."""
    made = build(ROOT, ROOT / "dist")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *made], check=True)
    print(f"{len(made)} files in {ROOT / 'dist'}")


if __name__ == "__main__":
    main()
