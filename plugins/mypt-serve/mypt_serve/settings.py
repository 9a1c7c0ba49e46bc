"""What a server may be asked to do, and how much of it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.api.gpt import GPT
    from mypt.chat.template import ChatTemplate
    from mypt.engine.inference.batching.batcher import TextBatcher
    from mypt_serve.api.schema_trial import SchemaTrial


@frozen(kw_only=True)
class Limits:
    """How much one request may ask for.

    Attributes:
        body_bytes: Size of a request's body.
        headers_s: Seconds in which its headers have to arrive.
        body_s: Seconds in which its body has to arrive.
        generation_s: Seconds that its texts may take, those in the queue included.
        new_tokens: Tokens of one text; None for the context of the model.
        choices: Texts of one request.
        connections: Connections at the same time.
    """

    body_bytes: int = 1_000_000
    headers_s: float = 10.0
    body_s: float = 30.0
    generation_s: float = 300.0
    new_tokens: int | None = None
    choices: int = 16
    connections: int = 512


@frozen(kw_only=True)
class Access:
    """Who may ask.

    Attributes:
        host: The address that the server listens at.
        token: What `Authorization: Bearer` has to say; None where nobody has to.
        origins: Origins of other pages that may call the API from a browser.
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)


@frozen(kw_only=True)
class ServedModel:
    """A model that is served.

    Attributes:
        name: Its name in the API.
        model: The model.
        batcher: What continues its texts.
        template: Its chat template; None where it has none.
        no_template: Why it has none; "" where it has one.
        created: When the server began, seconds since 1970.
        schemas: What tries out the schemas of requests.
        card: What the page shows of it, without a path.
        loss_plot: Its losses as an SVG with a legend; None where its log is not here.
    """

    name: str
    model: GPT
    batcher: TextBatcher
    template: ChatTemplate | None
    no_template: str
    created: int
    schemas: SchemaTrial
    card: Mapping[str, object] = field(factory=dict)
    loss_plot: Mapping[str, object] | None = None


def is_loopback(host: str) -> bool:
    """Return whether an address is one that only this machine reaches."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
