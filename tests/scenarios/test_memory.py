"""Memory is tried before the first step: real runs under a limit of address space."""

import subprocess
import sys
from pathlib import Path

import pytest

from mypt.format.validate import validate
from tests.support.events import read_lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps such a limit")

MB = 1_000_000
# 6.3 million weights: 25 MB, 75 MB more for gradients and moments, and 75 MB for the copy.
FLAGS = ("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu")
FLAGS += ("--n_embd", "512", "--n_head", "4", "--n_layer", "2", "--block_size", "8")
FLAGS += ("--batch_size", "1", "--max_iters", "4", "--eval_interval", "2", "--eval_iters", "1")
LITTLE, ENOUGH_FOR_NO_COPY, ENOUGH = 75 * MB, 155 * MB, 600 * MB
SHARES = "25.3 MB weights, 25.3 MB gradients, 50.7 MB moments of AdamW, 76.0 MB copy for saving"


# A process of its own, since one that ran other tests has memory of theirs to give away. It trains
# once without a limit, so that all that a run imports has its memory by then.
PROGRAM = """
import contextlib, ctypes, resource, shutil, sys, tempfile
from mypt.cli.main import mypt_group, run
from pathlib import Path
free, flags = int(sys.argv[1]), sys.argv[2:]
small = ["--n_embd", "8", "--n_head", "1", "--n_layer", "1", "--block_size", "8"]
small += ["--max_iters", "1", "--input_file", "input.txt", "--tokenization", "char"]
small += ["--device", "cpu"]
said, sys.stdout = sys.stdout, sys.stderr
with tempfile.TemporaryDirectory() as folder:
    shutil.copy("input.txt", folder)
    with contextlib.chdir(folder):
        assert run(mypt_group, "mypt", ["train", "--model_name", "before", *small]) == 0
sys.stderr.flush()
print("limited", file=sys.stderr, flush=True)
ctypes.CDLL(None).mallopt(-3, 1 << 17)  # no tensor takes what this process has freed before
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + free, resource.RLIM_INFINITY))
sys.exit(run(mypt_group, "mypt", ["train", *flags]))
"""


def train_within(free, *flags, name="dante"):
    """Train in a process that may take so many bytes more than it has; give code and output."""
    words = [sys.executable, "-c", PROGRAM, str(free), "--model_name", name, *FLAGS, *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.partition("limited\n")[2]


@pytest.fixture
def place(in_tmp, text):
    """Give a folder with a text alone."""
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


def notices(name="dante"):
    log = read_lines(Path("logs", "train", f"{name}_eval.jsonl"))
    return [event["message"] for event in log if event["event"] == "notice"]


def test_a_run_that_will_not_fit_is_refused_before_its_first_step(place):
    before = {*place.rglob("*")}
    code, said = train_within(LITTLE)
    assert code == 1
    (line,) = said.splitlines()
    assert line.startswith("error: memory: cpu has ")
    assert f"{SHARES}; lower n_embd" in line
    assert {*place.rglob("*")} == before


def test_without_room_for_a_copy_the_run_waits_for_its_saves_and_says_so(place, digests):
    code, said = train_within(ENOUGH_FOR_NO_COPY)
    assert code == 0, said
    assert [line for line in notices() if "will wait while a save is written" in line]
    code, said = train_within(ENOUGH, name="virgil")
    assert code == 0, said
    assert not [line for line in notices("virgil") if "will wait" in line]
    assert digests("dante") == digests("virgil")
    assert digests("dante_gold") == digests("virgil_gold")
    code, said = train_within(ENOUGH_FOR_NO_COPY, "--max_iters", "6")
    assert code == 0, said
    assert validate(Path("checkpoints/dante"), checksums=True) == []


def test_what_does_not_fit_into_a_step_is_told_with_all_that_is_kept(place):
    code, said = train_within(ENOUGH, "--batch_size", "32768")
    assert code == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert f"ran out while training beside {SHARES}, which asked for" in line
    assert "Traceback" not in said
