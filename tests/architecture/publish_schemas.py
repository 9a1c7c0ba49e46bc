"""Write down the hashes of the schemas that the version of mypt about to be released publishes."""

import hashlib
import json
from pathlib import Path

from mypt.format.version import FORMAT_VERSION, MYPT_VERSION

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).parent / "published_schemas.json"


def main():
    """Add the current version; those before it stay as they are."""
    published = json.loads(FILE.read_text("utf-8"))
    schemas = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((ROOT / "schemas").rglob("*.schema.json"))
    }
    published[MYPT_VERSION] = {"format": FORMAT_VERSION, "schemas": schemas}
    FILE.write_text(json.dumps(published, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
