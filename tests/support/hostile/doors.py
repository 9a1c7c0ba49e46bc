"""Try every public door on the checkpoints of a list, in a process that may do next to nothing.

Run with a JSON file: a list of {"name", "path", "doors"}. Prints one JSON object: what each door
said of each, in how many seconds of processor time, and what it did that it must not.
"""

import contextlib
import importlib
import io
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

LIMIT_BYTES = 512 << 20
PATIENCE_S = 300  # of the clock, to end what waits or never ends
FORBIDDEN = (
    *("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "pty."),
    *("subprocess.", "socket.", "pickle.", "ctypes.", "urllib.", "ftplib.", "webbrowser."),
    *("os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink"),
    *("os.mkdir", "os.truncate", "os.putenv", "os.kill", "shutil.", "code.__new__"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
done = []
is_armed = False


def watch(event, arguments):
    """Take note of an act that no file may cause, and end it."""
    if not is_armed:
        return
    acts = event.startswith(FORBIDDEN)
    if event == "open":
        path, _, flags = arguments
        acts = bool(flags & WRITING) and path != os.devnull
    if event in ("exec", "compile"):
        code = arguments[0] if event == "exec" else arguments[1]
        acts = getattr(code, "co_filename", code) in ("<string>", "<unknown>", None)
    if acts:
        done.append(f"{event} {arguments!r:.100}")
        raise SystemExit(f"the file made us do {done[-1]}")


def command(*arguments):
    """Run `mypt` as a user does."""

    def door(path):
        from mypt.cli.main import mypt_group, run

        words = [path if word == "PATH" else word for word in arguments]
        code = run(mypt_group, "mypt", words)
        sys.stdout.flush()
        return {"code": code}

    return door


def library(module, name):
    """Call a function of the library."""

    def door(path):
        from mypt.format.errors import MyptError

        try:
            getattr(importlib.import_module(module), name)(Path(path))
        except MyptError as error:
            return {"refused": str(error)}
        return {"refused": None}

    return door


def validated(path):
    """Validate with all checks and readers, as a program does."""
    from mypt.format.validate import validate
    from mypt.plugins.manager import load_plugins

    plugins = load_plugins()
    readers = plugins.readers.values()
    found = validate(Path(path), plugins.layouts, readers, checksums=True)
    errors = [str(problem) for problem in found if problem.severity == "error"]
    return {"refused": "\n".join(errors) or None}


DOORS = {
    "validate()": validated,
    "validate": command("format", "validate", "PATH"),
    "validate --json": command("format", "validate", "--json", "--checksums", "PATH"),
    "get_model_info": library("mypt", "get_model_info"),
    "load": library("mypt", "load"),
    "inspect": command("inspect", "--model_name", "PATH"),
    "inspect --json": command("inspect", "--json", "--model_name", "PATH"),
    "generate": command("generate", "--model_name", "PATH", "--max_new_tokens", "1"),
    "export": command("export", "--to", "hf", "--model_name", "PATH", "--output", "exported"),
    "migrate": command("format", "migrate", "PATH"),
    "migrate --dry_run": command("format", "migrate", "--dry_run", "PATH"),
    "migrate --all": command("format", "migrate", "--all", "--dry_run", "PATH"),
}


def attempt(door, path):
    """Go through one door; give what was said and done."""
    out, err = io.StringIO(), io.StringIO()
    start = time.process_time()
    signal.alarm(PATIENCE_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            said = DOORS[door](path)
    except BaseException as error:  # whatever it is, it is told
        said = {"crash": f"{type(error).__name__}: {error}"[:300]}
    finally:
        signal.alarm(0)
    said |= {"seconds": time.process_time() - start, "out": out.getvalue()[:20_000]}
    said |= {"err": err.getvalue()[:200_000], "torch": "torch" in sys.modules}
    said["done"], done[:] = list(done), []
    return said


def give_up(*_):
    """End a door that takes too long."""
    raise SystemExit("it waits, or never ends")


def main():
    """Try them all; what only the first use imports is imported on a sound one before."""
    global is_armed
    tasks = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    signal.signal(signal.SIGALRM, give_up)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    for name in (
        "difflib",
        "jsonschema",
        "pickletools",
        "mypt.format.downgrade",
        "mypt.api.export",
    ):
        importlib.import_module(name)
    for door in ("validate()", "validate", "get_model_info", "inspect", "migrate --dry_run"):
        for path in sys.argv[2:]:
            attempt(door, path)
    sys.addaudithook(watch)
    is_armed = True
    said = {
        task["name"]: {door: attempt(door, task["path"]) for door in task["doors"]}
        for task in tasks
    }
    is_armed = False
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
