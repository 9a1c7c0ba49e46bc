"""Load a model to serve it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import mypt
from mypt.chat.template import ChatTemplate
from mypt.engine.checkpoints.paths import find_checkpoint
from mypt.engine.inference.batching.batcher import TextBatcher
from mypt.plugins import ConfigError
from mypt_serve.api.schema_trial import SchemaTrial
from mypt_serve.page.card import describe_model, draw_losses
from mypt_serve.settings import ServedModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.plugins import Tokenizer
    from mypt.plugins.manager import Plugins


@contextmanager
def open_model(
    name: str,
    plugins: Plugins,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    max_rows: int = 8,
    max_waiting: int = 64,
    template: str | None = None,
    base: str | None = None,
) -> Iterator[ServedModel]:
    """Load a model, and make texts until the end of the context.

    Args:
        name: A path, or the name of a model.
        plugins: What is installed.
        device: Where it computes.
        dtype: What its weights are rounded to.
        max_rows: Texts made at the same time.
        max_waiting: Texts that may wait for that.
        template: Another chat template than its own.
        base: Of an adapter, the path or name of its base; None to look for it.

    Raises:
        MyptError: It cannot be loaded, has no tokenizer, or the template does not fit it.
    """
    folder = find_checkpoint(name)
    model = mypt.load(folder, base=base, device=device, dtype=dtype, plugins=plugins)
    chat, why = find_template(model.need_tokenizer(), template)
    with TextBatcher(model, max_rows=max_rows, max_waiting=max_waiting) as batcher:
        yield ServedModel(
            name=folder.resolve().name,
            model=model,
            batcher=batcher,
            template=chat,
            no_template=why,
            created=int(time.time()),
            schemas=SchemaTrial(),
            card=describe_model(str(folder), plugins),
            loss_plot=draw_losses(str(folder), plugins),
        )


def find_template(tokenizer: Tokenizer, source: str | None) -> tuple[ChatTemplate | None, str]:
    """Return the chat template of a model, and why it has none.

    Args:
        tokenizer: The model's.
        source: Another template than its own.

    Raises:
        ConfigError: That template does not fit the model.
    """
    try:
        return ChatTemplate.of(tokenizer, source), ""
    except ConfigError as error:
        if source is not None:
            raise
        problem = error.problems[0]
        return None, f"its chat template {problem.what}; {problem.fix}."
