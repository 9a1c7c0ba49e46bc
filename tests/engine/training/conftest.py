from types import SimpleNamespace

import pytest

import mypt
from mypt.plugins import SinkFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

SHAPE = {"block_size": 16, "n_embd": 32, "n_head": 2, "n_layer": 2, "batch_size": 4}
RUN = {"eval_interval": 6, "eval_iters": 2, "learning_rate": 3e-3, "warmup_iters": 3}


@pytest.fixture
def heard_fit(text):
    """Train a model that saves nothing; gives the state, and the events that a sink has heard."""

    def call(**options):
        heard = []
        plugins = load_plugins()
        ear = SimpleNamespace(emit=heard.append, close=lambda: None)
        hook = hookimpl(lambda: [SinkFactory("ear", build=lambda _: ear)])
        plugins.register(SimpleNamespace(mypt_log_sinks=hook), PluginOrigin("ear", "ear", "1"))
        tokenizer = plugins.tokenizer("char").train(text)
        config = mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size)
        model = mypt.GPT(config, tokenizer, plugins=plugins)
        loader = mypt.GPTDataLoader(config, tokenizer, text=text, source="text")
        options = {**RUN, "log_sinks": {"ear": {}}, **options}
        return model.fit(loader, quiet=True, **options), heard

    return call
