"""What prepared data sets hold, to compare them."""

import json


def content(folder):
    """All files, without the times."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".json":
            document = json.loads(data)
            for file in document.get("files", ()):
                del file["mtime_ns"]
            data = json.dumps(document).encode()
        found[path.relative_to(folder).as_posix()] = data
    return found
