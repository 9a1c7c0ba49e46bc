"""The chat page: alone, without anything from elsewhere, and in a real browser."""

import re
import shutil
import time
from html.parser import HTMLParser

import httpx
import pytest
from mypt_serve.page.card import describe_model, draw_losses
from mypt_serve.page.page import build_page
from mypt_serve.settings import Access

import mypt
from mypt.plugins.manager import load_plugins

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here (Debian has both)"
    ),
]


class Links(HTMLParser):
    """Collects what a document loads."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.handlers = []

    def handle_starttag(self, tag, attributes):
        names = ("src", "href", "action", "srcset", "data", "poster")
        self.found += [(tag, value) for name, value in attributes if name in names]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


def test_the_page_loads_nothing_and_runs_its_own_script_alone(server):
    response = httpx.get(server.url)
    links = Links()
    links.feed(response.text)
    assert links.found == [("link", "data:,")]
    assert links.handlers == []
    assert not re.search(r"https?://|@import|url\(", response.text)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2


def test_the_script_never_makes_html_of_a_text():
    page = build_page(needs_token=True)
    script = page.html.partition("<script>")[2]
    banned = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    )
    assert not any(word in script for word in banned)
    assert 'data-token="yes"' in page.html
    assert 'data-token="no"' in build_page(needs_token=False).html


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with a log, whose folders have names that nobody has to know."""
    folder = tmp_path_factory.mktemp("a-secret-folder")
    text = "the cat sat on the mat. " * 50
    (folder / "a-secret-text.txt").write_text(text)
    tokenizer = load_plugins().tokenizer("char").train(text)
    shape = {"block_size": 8, "n_embd": 8, "n_head": 1, "n_layer": 1}
    config = mypt.GPTConfig(**shape, vocab_size=tokenizer.vocab_size)
    model = mypt.GPT(config, tokenizer)
    model.fit(
        mypt.GPTDataLoader(config, tokenizer, text=text),
        max_iters=4,
        eval_interval=2,
        eval_iters=1,
        checkpoint_dir=folder / "checkpoints" / "cat",
        log_file=str(folder / "a-secret-log.jsonl"),
        quiet=True,
    )
    return folder / "checkpoints" / "cat"


def test_the_card_tells_of_the_model_and_of_no_path(serve, trained):
    told = httpx.get(f"{serve(trained).url}/card")
    card = told.json()
    assert card["model"] == "cat"
    assert card["facts"]["n_layer"] == "1"
    assert card["facts"]["step"] == "4"
    assert float(card["facts"]["best validation loss"]) > 0
    assert card["plot"]["svg"].startswith("<svg")
    assert all(entry["label"] for entry in card["plot"]["legend"])
    assert "secret" not in told.text
    assert "not trained on conversations" in card["why"]


def test_a_model_without_a_log_has_no_plot(chat_model):
    assert draw_losses(str(chat_model), load_plugins()) is None
    assert "parameters" in describe_model(str(chat_model), load_plugins())


@pytest.fixture
def browser(monkeypatch):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{word}")
    for word in ("disable-component-update", "disable-dev-shm-usage", "window-size=1000,700"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def by_id(browser, name):
    return browser.find_element("id", name)


def wait(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def turns(browser):
    return [turn.text for turn in browser.find_elements("css selector", ".turn")]


def fill(browser, name, text):
    field = by_id(browser, name)
    field.clear()
    field.send_keys(text)


def wait_until_answered(browser, count):
    wait(lambda: len(turns(browser)) == count)
    wait(lambda: not browser.find_elements("css selector", ".busy"))


@pytest.mark.parametrize("_", [pytest.param(None, marks=in_browser)])
def test_a_conversation_in_a_browser(_, browser, server):
    browser.get(server.url)
    wait(lambda: by_id(browser, "name").text == "chatty")
    fill(browser, "max_tokens", "40")
    fill(browser, "seed", "3")
    fill(browser, "system", "say so")
    fill(browser, "question", "the cat\n")
    wait_until_answered(browser, 2)
    said = turns(browser)
    assert said[0] == "the cat"
    assert "tokens" in by_id(browser, "status").text
    fill(browser, "seed", "4")
    by_id(browser, "again").click()
    wait(lambda: len(turns(browser)) == 2 and turns(browser) != said)
    wait_until_answered(browser, 2)
    fill(browser, "question", "so\n")
    wait_until_answered(browser, 4)
    by_id(browser, "new").click()
    assert turns(browser) == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("_", [pytest.param(None, marks=in_browser)])
def test_html_that_is_said_is_shown_as_it_is(_, browser, serve, plain_model):
    template = "{{ messages[-1].content }}"
    browser.get(serve(plain_model, template=template).url)
    wait(lambda: by_id(browser, "name").text == "plain")
    fill(browser, "max_tokens", "2")
    browser.execute_script("add('assistant', '<img src=x onerror=\"document.title=1\"><b>no</b>')")
    assert turns(browser)[0].startswith("<img src=x")
    assert not browser.find_elements("css selector", ".turn img, .turn b")


@pytest.mark.parametrize("_", [pytest.param(None, marks=in_browser)])
def test_a_text_is_stopped_and_an_error_is_shown(_, browser, serve, plain_model, trained):
    from mypt_serve.settings import Limits

    slow = serve(plain_model, limits=Limits(new_tokens=100_000))
    browser.get(slow.url)
    wait(lambda: "cannot chat" in by_id(browser, "why").text)
    fill(browser, "max_tokens", "100000")
    fill(browser, "question", "the cat")
    by_id(browser, "send").click()
    wait(lambda: by_id(browser, "stop").is_displayed() and len(turns(browser)[-1]) > 5)
    by_id(browser, "stop").click()
    slow.wait_until_idle()
    wait(lambda: by_id(browser, "status").text == "stopped")
    fill(browser, "question", "é")
    by_id(browser, "send").click()
    wait(lambda: "cannot be encoded" in by_id(browser, "problem").text)
    browser.get(serve(trained).url)
    wait(lambda: browser.find_elements("css selector", "#plot svg path.line"))


@pytest.mark.parametrize("_", [pytest.param(None, marks=in_browser)])
def test_the_token_is_asked_for_on_a_phone_too(_, browser, serve, chat_model):
    guarded = serve(chat_model, access=Access(token="secret"))
    browser.set_window_size(500, 800)
    browser.get(guarded.url)
    wait(lambda: "needs a token" in by_id(browser, "problem").text)
    fill(browser, "token", "secret")
    by_id(browser, "enter").click()
    wait(lambda: by_id(browser, "name").text == "chatty")
    assert not by_id(browser, "system").is_displayed()
    by_id(browser, "toggle").click()
    assert by_id(browser, "system").is_displayed()
    width = "return document.documentElement.scrollWidth <= window.innerWidth"
    assert browser.execute_script(width)
