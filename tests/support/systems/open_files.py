"""Which files this process, and others, have open or mapped."""

from pathlib import Path


def find_open(pids):
    """Give the paths of all files that some processes have open."""
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                yield str(descriptor.readlink())
            except FileNotFoundError:  # that of the listing itself
                continue


def find_mapped(pids):
    """Give the paths of all files that some processes have mapped."""
    lines = "".join(Path(f"/proc/{pid}/maps").read_text("utf-8") for pid in pids).splitlines()
    return {words[5] for line in lines if len(words := line.split(maxsplit=5)) == 6}


def is_held(path, pids):
    """Return whether a file, or anything in a folder, is open or mapped."""
    place = Path(path).resolve()
    held = {*find_open(pids), *find_mapped(pids)}
    return any(Path(one).is_relative_to(place) for one in held if one.startswith("/"))
