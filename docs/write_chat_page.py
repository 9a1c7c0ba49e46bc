"""Take the picture of the chat page in docs/how-to/serve.md: `python docs/write_chat_page.py`.

It trains a model for a minute or two on the turns that the picture shows, serves it, and asks. It
needs mypt-serve, selenium, and Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURE = Path(__file__).parent / "how-to" / "chat-page.png"
WIDTH, HEIGHT = 1000, 640
TURNS = [
    ("What is a checkpoint of mypt?", "A folder that anyone can read, check and trust."),
    ("And if I stop a run?", "Give the same name again: it goes on, bit for bit."),
    ("Can others talk to my model?", "Yes: mypt serve has OpenAI's API, and this page."),
]
TRAIN = "--n_layer 3 --n_head 4 --n_embd 96 --block_size 384 --batch_size 8 --dropout 0"
TRAIN += " --max_iters 300 --eval_interval 50 --eval_iters 2 --learning_rate 3e-3 --device cpu"


def main() -> None:
    """Train, serve, ask, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder))
        words = [*mypt("serve"), "checkpoints/dante", "--port", "0"]
        process = subprocess.Popen(  # noqa: S603 - words of its own
            words, cwd=folder, stdout=subprocess.PIPE, text=True
        )
        with process:
            try:
                said = process.stdout.readline() if process.stdout else ""
                take_picture(said.split()[3])
            finally:
                process.terminate()


def mypt(command: str) -> list[str]:
    """Return the words of a command."""
    return [sys.executable, "-m", "mypt", command]


def train(folder: Path) -> None:
    """Train a model that says what the picture shows."""
    roles = ("user", "assistant")
    talks = [
        [
            {"role": role, "content": text}
            for turn in TURNS[:count]
            for role, text in zip(roles, turn, strict=True)
        ]
        for count in range(1, len(TURNS) + 1)
    ]
    lines = [json.dumps({"messages": talk}) for talk in talks] * 8
    (folder / "talks.jsonl").write_text("\n".join(lines))
    prepare = "data chats talks.jsonl --output talks --tokenization char --chat_template chatml"
    run = f"train --model_name dante --dataset_dir talks {TRAIN}"
    for words in (prepare, run):
        command, *rest = words.split()
        subprocess.run(  # noqa: S603 - words of its own
            [*mypt(command), *rest], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )


def take_picture(url: str) -> None:
    """Ask all questions, and take the picture."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    flags = ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking")
    for flag in (*flags, "hide-scrollbars", f"window-size={WIDTH},{HEIGHT}"):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver") or "")
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.get(url)
        wait(lambda: browser.find_element(By.ID, "name").text == "dante")
        for field, value in (("temperature", "0"), ("seed", "1")):
            browser.find_element(By.ID, field).clear()
            browser.find_element(By.ID, field).send_keys(value)
        for number, (question, answer) in enumerate(TURNS):
            browser.find_element(By.ID, "question").send_keys(f"{question}\n")
            said = 2 * number + 2
            wait(lambda said=said: len(browser.find_elements(By.CSS_SELECTOR, ".turn")) == said)
            wait(lambda: not browser.find_elements(By.CSS_SELECTOR, ".busy"))
            shown = browser.find_elements(By.CSS_SELECTOR, ".turn")[-1].text
            if shown != answer:
                sys.exit(f"the model says {shown!r}; train it longer")
        browser.save_screenshot(str(PICTURE))
    finally:
        browser.quit()


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something is so, for a minute at most."""
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit("the page does not answer")
        time.sleep(0.1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
