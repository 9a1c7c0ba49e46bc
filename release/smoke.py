"""Install what was built into a fresh environment, and use it there from another folder.

Everything but mypt and its plugins comes from the package index, as it does for a user.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = "".join(f"line {i}: the cat sat on the mat, {i * i} times.\n" for i in range(400))
SMALL = "--n_layer 1 --n_embd 32 --n_head 2 --block_size 16 --batch_size 2 --eval_iters 1"
# What a user does first, and what shows that data files and plugins were found.
COMMANDS = (
    "--version",
    "configs",
    "--strict-plugins plugins",
    f"train --model_name smoke --input_file input.txt --tokenization char --max_iters 4 {SMALL}",
    "train --model_name smoke --max_iters 6",
    "format validate smoke --checksums",
    "generate smoke --prompt the --max_new_tokens 8",
    "plugins new mypt-mine --output mypt-mine",
)
# Plugins that need nothing beyond mypt itself.
PLUGINS = ("mypt_alibi", "mypt_guards")


def find_python(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    windows = environment / "Scripts" / "python.exe"
    return windows if windows.exists() else environment / "bin" / "python"


def install(environment: Path, dist: Path) -> Path:
    """Install the wheels of a folder into a new environment; return its interpreter."""
    venv.create(environment, with_pip=True)
    python = find_python(environment)
    wheels = [wheel for name in ("mypt_lm", *PLUGINS) for wheel in dist.glob(f"{name}-*.whl")]
    pip = [python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *map(str, wheels)], check=True)
    return python


def use(python: Path, folder: Path) -> None:
    """Run the commands in a folder, and fail with the first that does."""
    (folder / "input.txt").write_text(TEXT, "utf-8")
    for command in COMMANDS:
        print(f"mypt {command}", flush=True)
        subprocess.run([python, "-P", "-m", "mypt", *command.split()], cwd=folder, check=True)


def main() -> None:
    """Try what is in `dist/`, or in the folder that is named."""
    dist = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder, "environment"), dist)
        work = Path(folder, "work")
        work.mkdir()
        use(python, work)
    print("The packages install and run.")


if __name__ == "__main__":
    main()
