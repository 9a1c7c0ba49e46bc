"""Build the page from its parts, and the policy that lets the browser run these alone."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from importlib import resources

from attrs import frozen


@frozen
class Page:
    """The page.

    Attributes:
        html: The document.
        policy: Its `Content-Security-Policy`: its own style and script, and requests to where it
            comes from.
    """

    html: str
    policy: str


def build_page(*, needs_token: bool) -> Page:
    """Return the page.

    Args:
        needs_token: Whether it has to ask for the token of the server.
    """
    style, script = _read("page.css"), _read("page.js")
    html = (
        _read("page.html")
        .replace("{{style}}", style)
        .replace("{{script}}", script)
        .replace("{{token}}", "yes" if needs_token else "no")
    )
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return Page(html, policy)


def _read(name: str) -> str:
    return (resources.files("mypt_serve.page") / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
