"""Take the picture of the chat page in docs/how-to/serve.md: `write_chat_page.py MODEL`.

MODEL is one that can chat, such as that of `make chat`. It needs mypt-serve, selenium, and Debian's
chromium and chromium-driver.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURE = Path(__file__).parent / "how-to" / "chat-page.png"
QUESTIONS = ("What is mypt?", "Who are you?")
WIDTH, HEIGHT = 1000, 1340


def main() -> None:
    """Serve a model, ask, and take the picture."""
    words = [sys.executable, "-m", "mypt", "serve", sys.argv[1], "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            line = process.stdout.readline() if process.stdout else ""
            take_picture(line.split()[3])
        finally:
            process.terminate()


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
        wait(lambda: browser.find_element(By.ID, "name").text != "mypt")
        browser.find_element(By.ID, "temperature").clear()
        browser.find_element(By.ID, "temperature").send_keys("0")
        for number, question in enumerate(QUESTIONS):
            browser.find_element(By.ID, "question").send_keys(f"{question}\n")
            said = 2 * number + 2
            wait(lambda said=said: len(browser.find_elements(By.CSS_SELECTOR, ".turn")) == said)
            wait(lambda: not browser.find_elements(By.CSS_SELECTOR, ".busy"))
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
    main()
