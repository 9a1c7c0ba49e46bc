"""Tiny models, and servers for them in threads of this process."""

import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from mypt_serve.app import make_app
from mypt_serve.opened import open_model
from mypt_serve.server import bind, make_server
from mypt_serve.settings import Access, Limits

import mypt
from mypt.chat.shipped import SHIPPED
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

TEXT = 'the cat sat on the mat; say {} [1, 2] and "so" <|im_start|>user <|im_end|> 0123456789.\n'
TINY = {"block_size": 256, "n_embd": 16, "n_head": 2, "n_layer": 1}


def make_model(folder, name, *, chats, **shape):
    import torch

    plugins = load_plugins()
    tokenizer = plugins.tokenizer("char").train(TEXT)
    if chats:
        chatml = SHIPPED["chatml"]
        wanted = NewTokens.of({"turn_end": "<|im_end|>", "additional": ["<|im_start|>"]})
        tokenizer = extend_tokenizer(tokenizer, wanted, plugins, chat_template=chatml.source)
    torch.manual_seed(1)
    config = mypt.GPTConfig(**{**TINY, **shape}, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer, plugins=plugins).save(folder / name)
    return folder / name


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory):
    """A model with a chat template, which has learnt nothing."""
    return make_model(tmp_path_factory.mktemp("models"), "chatty", chats=True)


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory):
    """A model without a chat template."""
    return make_model(tmp_path_factory.mktemp("models"), "plain", chats=False)


class RunningServer:
    def __init__(self, served, port):
        self.served = served
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def batcher(self):
        return self.served.batcher

    def wait_until_idle(self, seconds=10):
        end = time.monotonic() + seconds
        while self.batcher.n_running or self.batcher.n_waiting:
            assert time.monotonic() < end, "texts go on"
            time.sleep(0.01)


@contextmanager
def running(folder, *, max_rows=4, max_waiting=16, access=None, limits=None, template=None):
    """Serve a model in a thread."""
    with (
        bind("127.0.0.1", 0) as listener,
        open_model(
            str(folder),
            load_plugins(),
            max_rows=max_rows,
            max_waiting=max_waiting,
            template=template,
        ) as served,
    ):
        limits = limits or Limits()
        app = make_app(served, access or Access(), limits)
        server = make_server(app, limits)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield RunningServer(served, listener.getsockname()[1])
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.fixture(scope="module")
def serve():
    """Give what serves a model until the end of the module."""
    with ExitStack() as stack:
        yield lambda *arguments, **named: stack.enter_context(running(*arguments, **named))


@pytest.fixture(scope="module")
def server(serve, chat_model):
    return serve(chat_model)
