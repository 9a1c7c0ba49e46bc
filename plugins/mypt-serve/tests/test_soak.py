"""A server that has more to do than it can, for minutes: its memory stays flat.

`make serve` takes ten minutes for it; MYPT_SOAK_S sets other seconds.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

SECONDS = float(os.environ.get("MYPT_SOAK_S", "600"))
ROWS, WAITING, CLIENTS = 4, 8, 24
MOST_GROWTH_MB = 8


def read_memory_mb(pid):
    """Give the memory that a process holds, without what it shares with files."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def ask_until(end, url, seed, seen):
    """Ask for texts of all kinds, and leave some of them in the middle."""
    rng = random.Random(seed)
    with httpx.Client(base_url=url, timeout=300) as client:
        while time.monotonic() < end:
            body = {"model": "chatty", "max_tokens": rng.randint(1, 60), "n": rng.choice([1, 1, 2])}
            path = rng.choice(["/v1/completions", "/v1/chat/completions"])
            words = "the cat sat " * rng.randint(1, 12)
            said = {"messages": [{"role": "user", "content": words}]}
            body |= {"prompt": words} if path == "/v1/completions" else said
            if rng.random() < 0.3:
                body |= {"frequency_penalty": 1, "logit_bias": {"1": 2}}
            body["stream"] = rng.random() < 0.5
            begin = time.monotonic()
            with client.stream("POST", path, json=body) as response:
                seen[response.status_code] += 1
                pieces = response.iter_bytes()
                if response.status_code == 200 and rng.random() < 0.2:
                    next(pieces, None)  # and leaves
                    seen["left"] += 1
                else:
                    whole = b"".join(pieces)
                    assert b"server_error" not in whole, whole
                    seen["longest_s"] = max(seen["longest_s"], time.monotonic() - begin)
            if response.status_code == 429:
                time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_at_a_full_queue(chat_model):
    words = [sys.executable, "-m", "mypt", "serve", str(chat_model), "--port", "0"]
    words += ["--max_rows", str(ROWS), "--max_waiting", str(WAITING)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=alone) as process:
        url = process.stdout.readline().split()[3]
        end, seen, memory = time.monotonic() + SECONDS, Counter(), []
        clients = [
            threading.Thread(target=ask_until, args=(end, url, seed, seen))
            for seed in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while time.monotonic() < end:
            time.sleep(1)
            memory.append(read_memory_mb(process.pid))
        for client in clients:
            client.join()
        good = httpx.post(f"{url}/v1/completions", json={"model": "chatty", "prompt": "the"})
        process.terminate()
    assert good.status_code == 200
    assert process.returncode == 0
    third = len(memory) // 3
    early, late = max(memory[third : 2 * third]), max(memory[2 * third :])
    report = {"seconds": SECONDS, "answers": dict(seen), "early_mb": early, "late_mb": late}
    sys.stdout.write(f"{json.dumps(report)}\n")
    assert {code for code in seen if isinstance(code, int)} == {200, 429}
    assert late - early < MOST_GROWTH_MB, memory
