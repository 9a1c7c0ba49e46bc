"""Every page is on the site, every link leads somewhere, and the site needs no host."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

import mypt
import mypt.plugins
import mypt.testing

NEEDS_GENERATOR = pytest.mark.skipif(
    importlib.util.find_spec("zensical") is None, reason="the site needs `make docs`'s packages"
)
FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "disable-sync", "window-size=1300,900")
MODULES = {"mypt": mypt, "plugins": mypt.plugins, "testing": mypt.testing}


@pytest.fixture
def scripts(root, monkeypatch):
    """Let the scripts in `docs` be imported, as by one another."""
    monkeypatch.syspath_prepend(root / "docs")


@pytest.fixture
def pages(scripts):
    import pages

    return pages


def test_every_link_of_the_documentation_leads_somewhere(pages):
    assert pages.broken_links() == []


def test_a_link_that_leads_nowhere_is_named(pages, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "# A page, and [more](b.md#there)\n[no](c.md) [no](b.md#here) [out](../../d.md)\n"
        "[yes](../schemas) [yes](#a-page-and-more) `[code](x.md)`\n```\n[code](y.md)\n```\n"
    )
    (tmp_path / "docs" / "b.md").write_text("```\n# here\n```\n## There\n[host](https://x.org/y)\n")
    (tmp_path / "CHANGELOG.md").write_text("[1.0]\n\n[1.0]: ../../releases/1.0\n[x]: docs/c.md\n")
    (tmp_path / "schemas").mkdir()
    broken = pages.broken_links(tmp_path)
    assert [line.split(": ")[1] for line in broken] == [
        *("docs/c.md", "c.md", "b.md#here", "../../d.md")
    ]


def test_links_out_of_docs_lead_to_copies_on_the_site(pages, root):
    page = pages.on_site(PurePosixPath("docs/specification/2.0.md"))
    assert "(../repository/schemas/v2/index.md)" in page
    assert "(../repository/schemas/v2/config.schema.json)" in page
    assert "(../repository/tests/conformance/README.md)" in page
    assert "(../specification/2.0.md)" not in page
    assert "(how-to/train.md)" not in pages.on_site(PurePosixPath("README.md"))


def test_a_definition_that_means_the_code_host_is_no_link_on_the_site(pages, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n")
    (tmp_path / "CHANGELOG.md").write_text("[1.0]\n\n[1.0]: ../../releases/1.0\n[a]: docs/a.md#a\n")
    assert pages.broken_links(tmp_path) == []
    page = pages.on_site(PurePosixPath("CHANGELOG.md"), tmp_path)
    assert page == "[1.0]\n\n[a]: ../a.md#a\n"


def test_every_page_is_in_the_navigation_once(pages):
    import write_site

    titles = [title for title, _ in write_site.navigation()]
    assert titles == [*write_site.SECTIONS]
    listed = [place for _, section in write_site.navigation() for _, place in section]
    written = [str(pages.place_of(page)) for page in pages.find_pages() if pages.text_of(page)]
    assert sorted(listed) == sorted(written)
    named = [name for _, first in write_site.SECTIONS.values() for name in first]
    assert [name for name in named if not any(place.endswith(name) for place in listed)] == []


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    """Build the site, and give its folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(root / "docs" / "write_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@NEEDS_GENERATOR
@pytest.mark.slow
def test_the_site_builds_strictly_and_documents_every_public_name(site):
    for name, module in MODULES.items():
        page = (site / "reference" / "api" / f"{name}.html").read_text("utf-8")
        for public in set(module.__all__) - {"__version__"}:
            assert f'id="{module.__name__}.{public}"' in page, public
    hooks = [name for name in vars(mypt.plugins.hookspecs) if name.startswith("mypt_")]
    page = (site / "reference" / "api" / "plugins.html").read_text("utf-8")
    assert [name for name in hooks if f'id="mypt.plugins.hookspecs.{name}"' not in page] == []


@NEEDS_GENERATOR
@pytest.mark.slow
def test_a_broken_link_or_a_thing_from_a_host_is_found_on_the_built_site(site, scripts):
    import write_site

    assert write_site.problems(site) == []
    page = site / "index.html"
    text = page.read_text("utf-8")
    page.write_text(text.replace("</body>", "<img src=//x.org/y.png><a href=none.html></a></body>"))
    try:
        assert [line.rpartition(": ")[2] for line in write_site.problems(site)] == [
            "is loaded from a host",
            "no such file in the site",
        ]
    finally:
        page.write_text(text, "utf-8")


@NEEDS_GENERATOR
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # selenium's own
def test_the_search_works_on_a_page_opened_from_a_folder_and_asks_no_host(site, tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs Debian's chromium and chromium-driver")
    from selenium import webdriver
    from selenium.common.exceptions import ElementNotInteractableException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"user-data-dir={tmp_path}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.get((site / "tutorial" / "first-model.html").as_uri())
        browser.find_element(By.CSS_SELECTOR, ".md-search__button").click()
        wait = WebDriverWait(browser, 60, ignored_exceptions=[ElementNotInteractableException])
        found = wait.until(lambda _: browser.switch_to.active_element.shadow_root)
        dialog = found.find_element(By.CSS_SELECTOR, "dialog")
        box = found.find_element(By.CSS_SELECTOR, "input")
        wait.until(lambda _: box.send_keys("gold guard") is None)
        wait.until(lambda _: "results" in dialog.text and "A gold guard" in dialog.text)
        events = [json.loads(entry["message"]) for entry in browser.get_log("performance")]
    finally:
        browser.quit()
    asked = [
        event["message"]["params"]["request"]["url"]
        for event in events
        if event["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("search.js") for url in asked)
    assert [url for url in asked if url.startswith(("http", "ws", "//"))] == []
