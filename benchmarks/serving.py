"""Texts of several clients together beside one after another, and beside llama.cpp's server.

A client asks for a text, waits for its end, and asks for the next; several clients do so at the
same time, from Python and, where `mypt-serve` is installed, by HTTP. The model has the shape of the
preset `tiny`, with GPT-2's vocabulary and random weights; its logits are scaled to be about as
decided as those of a trained one. llama.cpp, where `xllamacpp` and `gguf` are installed, serves the
same model as a Llama that mypt exports to it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from interleaved import Pairs, machine, spent

import mypt
from mypt.engine.inference.batching.batcher import TextBatcher
from mypt.engine.inference.continuation import Ending, GenerationSettings
from mypt.tokenizers.gpt2 import Gpt2Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Client = Callable[[list[int], int], int]

LLAMA = {"pos_encoding": "rope", "norm_type": "rmsnorm", "mlp_type": "swiglu", "bias": False}
SHAPES: dict[str, dict[str, Any]] = {"tiny": {}, "llama": LLAMA}
PRESET = Path(__file__).parents[1] / "configs" / "tiny.json"
# By how much the random logits are scaled: their standard deviation is about 3 then.
SCALE = 12.0
PROMPT = 32
OURS, THEIRS = "mypt, greedy", "llama.cpp, greedy"


class Speed(NamedTuple):
    """New tokens per second of all clients, and processor time of each token in seconds."""

    tokens_per_sec: float
    cpu_s: float


def main() -> None:
    """Time all in several rounds, and print tokens per second and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--new", type=int, default=64, help="tokens of each text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="by default both")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine()
    print(f"load {os.getloadavg()[0]:.1f} over the last minute")
    for name in arguments.shape or SHAPES:
        changed = SHAPES[name]
        model = _make_model(changed)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            model.save(folder / "bundle")
            batcher = stack.enter_context(TextBatcher(model, max_rows=arguments.clients))
            servers = {
                OURS: _ask_mypt(batcher, {"temperature": 0}),
                "mypt, sampled": _ask_mypt(batcher, {}),
            }
            if importlib.util.find_spec("mypt_serve"):
                port = stack.enter_context(_serve(folder / "bundle", arguments.clients))
                servers["mypt by HTTP, greedy"] = _ask_http(port)
            if changed and all(importlib.util.find_spec(n) for n in ("xllamacpp", "gguf")):
                servers[THEIRS] = _ask_llama(_export(model, folder), arguments.clients)
            _print_servers(name, servers, arguments)


def _print_servers(shape: str, servers: dict[str, Client], arguments: argparse.Namespace) -> None:
    """Print the speed of one client and of several, and how the servers' speeds compare."""
    n, new = arguments.clients, arguments.new
    rounds: dict[str, list[tuple[Speed, Speed]]] = {name: [] for name in servers}
    for ask in servers.values():
        _measure(ask, n, 1, 8)
    for _ in range(arguments.rounds):
        for name, ask in servers.items():
            alone = _measure(ask, 1, 2, new)
            rounds[name].append((_measure(ask, n, 1, new), alone))
    for name, measured in rounds.items():
        pairs = Pairs([(many.tokens_per_sec, one.tokens_per_sec) for many, one in measured])
        processor = Pairs([(one.cpu_s, many.cpu_s) for many, one in measured])
        together, single = pairs.medians
        print(
            f"{shape}, {name}: {n} clients {together:,.0f} tokens/s, one {single:,.0f}; "
            f"{pairs.ratio} times as many; processor time of a token {processor.ratio} times less",
            flush=True,
        )
    for index, who in enumerate((f"{n} clients", "one client") if THEIRS in rounds else ()):
        both = zip(rounds[OURS], rounds[THEIRS], strict=True)
        speeds = [(a[index].tokens_per_sec, b[index].tokens_per_sec) for a, b in both]
        print(f"  {who}: {Pairs(speeds).ratio} times as fast as llama.cpp", flush=True)


def _measure(ask: Client, clients: int, texts: int, new: int) -> Speed:
    """Measure clients that ask for some texts each, after prompts that differ."""
    counts: list[int] = []

    def run(client: int) -> None:
        for number in range(texts):
            generator = torch.Generator().manual_seed(100 * client + number)
            prompt = torch.randint(50257, (PROMPT,), generator=generator).tolist()
            counts.append(ask(prompt, new))

    def run_all() -> None:
        threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    took = spent(run_all)
    return Speed(sum(counts) / took.wall, took.cpu / sum(counts))


def _ask_mypt(batcher: TextBatcher, options: dict[str, Any]) -> Client:
    tokenizer = Gpt2Tokenizer()

    def ask(prompt: list[int], new: int) -> int:
        settings = GenerationSettings(
            tokenizer=tokenizer,
            sampling=mypt.Sampling(**options),
            ending=Ending.of(tokenizer, new, (), ()),
        )
        return sum(len(piece.ids) for piece in batcher.submit(prompt, settings))

    return ask


def _ask_llama(file: Path, clients: int) -> Client:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel = 128 * clients, clients
    params.fit_params, params.verbosity = False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)

    def ask(prompt: list[int], new: int) -> int:
        asked = {"prompt": prompt, "n_predict": new, "temperature": 0, "top_k": 1}
        asked |= {"ignore_eos": True, "cache_prompt": False}
        tokens: int = server.handle_completions(asked)["usage"]["completion_tokens"]
        return tokens

    return ask


@contextmanager
def _serve(folder: Path, clients: int) -> Iterator[int]:
    """Serve a model in a thread, and give the port."""
    from mypt_serve.app import make_app
    from mypt_serve.opened import open_model
    from mypt_serve.server import bind, make_server
    from mypt_serve.settings import Access, Limits

    plugins, limits = mypt.load_plugins(), Limits()
    with (
        bind("127.0.0.1", 0) as listener,
        open_model(str(folder), plugins, max_rows=clients) as served,
    ):
        server = make_server(make_app(served, Access(), limits), limits)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def _ask_http(port: int) -> Client:
    def ask(prompt: list[int], new: int) -> int:
        asked = {"model": "bundle", "prompt": prompt, "max_tokens": new, "temperature": 0}
        connection = HTTPConnection("127.0.0.1", port)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(asked), headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        tokens: int = answer["usage"]["completion_tokens"]
        return tokens

    return ask


def _export(model: mypt.GPT, folder: Path) -> Path:
    file = folder / "model.gguf"
    mypt.export_model(
        folder / "bundle", "gguf", file, plugins=model.plugins, options={"dtype": "F32"}
    )
    return file


def _make_model(changed: dict[str, Any]) -> mypt.GPT:
    fields = json.loads(PRESET.read_text())
    fields = {k: v for k, v in fields.items() if k not in {"name", "description", "batch_size"}}
    config = mypt.GPTConfig(**{**fields, **changed, "dropout": 0.0})
    model = mypt.GPT(config, Gpt2Tokenizer()).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(SCALE)
    return model


if __name__ == "__main__":
    main()
