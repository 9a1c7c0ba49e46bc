"""Greedy generation of mypt beside its peers, all in turn, on models of one shape.

Peers: `generate` of Hugging Face transformers with its dynamic and its static cache; litgpt, where
it is installed; nanoGPT's sampler, from a checkout: `--nanogpt PATH` (its `model.py` is run). Then
llama.cpp, where `xllamacpp` and `gguf` are installed, on a Llama of each shape that mypt exports to
it, one text at a time, in float32 and in bfloat16 on both sides. Then, within mypt: a third of the
heads of keys beside all of them, and a window beside none, at positions further and further past
it. The weights are random: what they are makes no difference to the time.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
import warnings
from collections import deque
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from interleaved import Pairs, machine, seconds
from peers import import_nanogpt

import mypt
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Runner = Callable[[torch.Tensor, int], object]

warnings.simplefilter("ignore")  # of the peers

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"n_layer": 4, "n_head": 4, "n_embd": 192, "block_size": 512, "vocab_size": 96},
    "small": {"n_layer": 6, "n_head": 6, "n_embd": 384, "block_size": 1024, "vocab_size": 96},
    "124M": {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 1024, "vocab_size": 50304},
}
# What llama.cpp calls a Llama, and the vocabularies that it is timed with: of characters, of GPT-2.
LLAMA: dict[str, Any] = {
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "bias": False,
}
VOCABULARIES = {"tiny": (384, 50304), "small": (384, 50304), "124M": (50304,)}
LLAMA_CASE = (32, 256)
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}
GREEDY = Sampling(temperature=0)
LARGE = "124M"
LARGE_WEIGHTS = 124_000_000
# What any program must do for a token of one text; the prompt and what is prepared come on top, so
# the second half of a long text is set beside it too.
BOUND = "the weights can be read once a token (the bound)"


class Case(NamedTuple):
    """What is asked for: rows, tokens of each prompt, tokens to add."""

    shape: str
    batch: int
    prompt: int
    new: int


CASES = (
    Case("tiny", 1, 32, 256),
    Case("tiny", 16, 32, 256),
    Case("small", 1, 32, 256),
    Case("small", 16, 32, 128),
    Case("small", 1, 768, 128),
    Case("124M", 1, 32, 256),
    Case("124M", 16, 32, 32),
    Case("124M", 1, 768, 64),
)
# Rows and tokens before the ones that are timed, for heads of keys that are shared by others.
GROUPED_CASES = ((1, 32), (16, 32), (1, 448), (4, 448))
# A window, the positions of the model, and those about which its tokens are timed.
WINDOW, POSITIONS, PLACES = 256, 2048, (300, 1000, 2000)
TIMED = 48


def main() -> None:
    """Time each case in several rounds, and print how many times as fast mypt is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="by default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--llama_cpp", action="store_true", help="only beside llama.cpp")
    arguments = parser.parse_args()
    machine()
    for shape in arguments.shape or SHAPES:
        if all(importlib.util.find_spec(name) for name in ("xllamacpp", "gguf")):
            for vocab_size in VOCABULARIES[shape]:
                _print_llama(shape, vocab_size, arguments.rounds)
        if arguments.llama_cpp:
            continue
        model = _model(SHAPES[shape])
        runners = dict(_runners(model, SHAPES[shape], arguments.nanogpt))
        for case in CASES:
            if case.shape == shape:
                _print_case(case, model, runners, arguments.rounds)
        for batch, prompt in GROUPED_CASES:
            _print_grouped(shape, batch, prompt, arguments.rounds)
        for batch in (1, 4):
            _print_window(shape, batch, arguments.rounds)


def _print_case(case: Case, model: mypt.GPT, runners: dict[str, Runner], rounds: int) -> None:
    idx = torch.randint(96, (case.batch, case.prompt))
    calls: dict[str, Callable[[], object]] = {
        name: partial(run, idx, case.new) for name, run in runners.items()
    }
    with_bound = case.shape == LARGE and case.batch == 1 and case.new > case.prompt
    if with_bound:
        calls[BOUND] = partial(_read, torch.ones(LARGE_WEIGHTS), case.new)
    with torch.inference_mode():
        for run in runners.values():
            run(idx, 4)
        times, halves = [], []
        for _ in range(rounds):
            times.append({name: seconds(call) for name, call in calls.items()})
            if with_bound:
                halves.append(_second_half(model, idx, case.new))
    ours = sorted(round_["mypt"] for round_ in times)[rounds // 2]
    print(
        f"{case.shape}, {case.batch} x {case.new} tokens after {case.prompt}: mypt "
        f"{case.batch * case.new / ours:,.0f} tokens/s, {ours / case.new * 1e3:.2f} ms each"
    )
    for name in (name for name in calls if name != "mypt"):
        pairs = Pairs([(round_[name], round_["mypt"]) for round_ in times])
        print(f"  {pairs.ratio} times as fast as {name}", flush=True)
    if with_bound:
        pairs = Pairs([(t[BOUND] / 2, half) for t, half in zip(times, halves, strict=True)])
        print(f"  {pairs.ratio} in the second half of the text", flush=True)


def _print_llama(shape: str, vocab_size: int, rounds: int) -> None:
    """Set mypt beside llama.cpp on a Llama: tokens of one text after a prompt.

    The time is that of the whole call, with the prompt; the speed is that of the tokens after the
    first, which llama.cpp tells of itself.
    """
    length, new = LLAMA_CASE
    config = mypt.GPTConfig(
        **{**SHAPES[shape], **LLAMA, "vocab_size": vocab_size}, dropout=0.0, tie_weights=True
    )
    idx = torch.randint(96, (1, length))
    for name, dtype in DTYPES.items():
        model = mypt.GPT(config).eval()
        with TemporaryDirectory() as folder:
            model.save(Path(folder) / "bundle")
            file = Path(folder) / "model.gguf"
            mypt.export_model(
                Path(folder) / "bundle",
                "gguf",
                file,
                plugins=model.plugins,
                options={"dtype": name},
            )
            theirs = _LlamaCpp(file, config.block_size)
        model.to(dtype)
        times, agree = [], 0
        _first_time(model, idx, new), theirs(idx[0].tolist(), new)
        for _ in range(rounds):
            ours, own = _first_time(model, idx, new)
            others, found, whole = theirs(idx[0].tolist(), new)
            agree = next(
                (n for n, pair in enumerate(zip(own, found, strict=True)) if len({*pair}) > 1), new
            )
            times.append((whole, sum(ours), others, ours[1] / (new - 1)))
        speeds = Pairs([(other, 1 / mine) for _, _, other, mine in times])
        print(
            f"{shape} as a Llama, {vocab_size} tokens, {name}, 1 x {new} tokens after {length}: "
            f"mypt {speeds.medians[1]:,.0f} tokens/s, llama.cpp {speeds.medians[0]:,.0f}; "
            f"the first {agree} ids are the same"
        )
        ratio = Pairs([(1 / other, mine) for _, _, other, mine in times]).ratio
        print(f"  {ratio} times as fast as llama.cpp after the first token")
        ratio = Pairs([(whole, mine) for whole, mine, *_ in times]).ratio
        print(f"  {ratio} times as fast with the prompt", flush=True)


def _first_time(
    model: mypt.GPT, idx: torch.Tensor, new: int
) -> tuple[tuple[float, float], list[int]]:
    """Give the seconds to the first token, those of the others, and all ids."""
    tokens, ids = generate(model, idx, new, GREEDY), []
    first = seconds(lambda: ids.append(int(next(tokens))))
    others = seconds(lambda: ids.extend(int(token) for token in tokens))
    return (first, others), ids


class _LlamaCpp:
    """llama.cpp in this process, with as many threads as torch and keys in float32."""

    def __init__(self, file: Path, length: int) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx, params.n_parallel = length, 1
        params.fit_params, params.verbosity = False, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self._server = xllamacpp.Server(params)

    def __call__(self, ids: list[int], new: int) -> tuple[float, list[int], float]:
        """Give its own tokens per second after the prompt, the ids, and the seconds in all."""
        asked = {"prompt": ids, "n_predict": new, "temperature": 0, "top_k": 1, "ignore_eos": True}
        asked |= {"cache_prompt": False, "return_tokens": True, "verbose": True}
        began = time.perf_counter()
        found = self._server.handle_completions(asked)
        whole = time.perf_counter() - began
        told = found["__verbose"]
        return told["timings"]["predicted_per_second"], told["tokens"], whole


def _print_grouped(shape: str, batch: int, prompt: int, rounds: int) -> None:
    """Set fewer heads of keys beside all of them: tokens after a prompt of one length."""
    heads = SHAPES[shape]["n_head"]
    fewer = max(1, heads // 3)
    models = [_model({**SHAPES[shape], "n_kv_head": number}) for number in (heads, fewer)]
    idx = torch.randint(96, (batch, prompt))
    times = _time_in_turn([partial(_time_tokens, model, idx) for model in models], rounds)
    pairs = Pairs([(whole, grouped) for whole, grouped in times])
    print(
        f"{shape}, {batch} x {TIMED} tokens after {prompt}: {pairs.medians[1] * 1e3:.2f} ms each "
        f"with {fewer} of {heads} heads of keys; {pairs.ratio} times as fast as with all; "
        f"cache {_size(models[1], idx)}, with all {_size(models[0], idx)}",
        flush=True,
    )


def _print_window(shape: str, batch: int, rounds: int) -> None:
    """Set a window beside none, at places further and further past it."""
    long = {**SHAPES[shape], "block_size": POSITIONS}
    models = [_model(long), _model({**long, "sliding_window": WINDOW})]
    texts = [torch.randint(96, (batch, place - TIMED // 2)) for place in PLACES]
    times = _time_in_turn(
        [partial(_time_tokens, model, idx) for idx in texts for model in models], rounds
    )
    print(f"{shape}, {batch} x {TIMED} tokens, each sees {WINDOW} of {POSITIONS} positions")
    for number, (place, idx) in enumerate(zip(PLACES, texts, strict=True)):
        pairs = Pairs([(round_[2 * number], round_[2 * number + 1]) for round_ in times])
        print(
            f"  at position {place}: {pairs.medians[1] * 1e3:.2f} ms each, {pairs.ratio} times as "
            f"fast as without a window; cache {_size(models[1], idx)}, without a window "
            f"{_size(models[0], idx)}",
            flush=True,
        )


def _time_in_turn(calls: list[Callable[[], float]], rounds: int) -> list[list[float]]:
    for call in calls:
        call()
    return [[call() for call in calls] for _ in range(rounds)]


def _time_tokens(model: mypt.GPT, idx: torch.Tensor) -> float:
    """Give the seconds of a token after a prompt, without those of the prompt itself."""
    tokens = generate(model, idx, TIMED + 2, GREEDY)
    deque(islice(tokens, 2), maxlen=0)  # the prompt, and what is laid out for single tokens
    return seconds(lambda: deque(tokens, maxlen=0)) / TIMED


def _size(model: mypt.GPT, idx: torch.Tensor) -> str:
    """Give the memory of the cache after a prompt."""
    with torch.inference_mode():
        cache = model.make_cache()
        model.next_logits(idx, cache)
    return f"{sum(layer.nbytes for layer in cache.layers) / 1e6:.1f} MB"


def _second_half(model: mypt.GPT, idx: torch.Tensor, new: int) -> float:
    """Give the seconds from the middle of a text to its end."""
    tokens = generate(model, idx, new, GREEDY)
    deque(islice(tokens, new // 2), maxlen=0)
    return seconds(lambda: deque(tokens, maxlen=0))


def _read(weights: torch.Tensor, times: int) -> None:
    for _ in range(times):
        weights.sum()


def _model(shape: dict[str, Any]) -> mypt.GPT:
    config = mypt.GPTConfig(
        **shape, dropout=0.0, bias=True, head_bias=False, tie_weights=True, mlp_type="gelu_tanh"
    )
    return mypt.GPT(config).eval()


def _runners(
    model: mypt.GPT, shape: dict[str, Any], nanogpt: Path | None
) -> Iterator[tuple[str, Runner]]:
    yield "mypt", _mypt(model)
    yield "mypt with 8-bit weights", _mypt(mypt.GPT(model.config).eval().quantize())
    yield from _hugging_face(shape)
    if importlib.util.find_spec("litgpt") is not None:
        yield "litgpt", _litgpt(shape)
    if nanogpt is not None:
        yield "nanoGPT", _nanogpt(shape, nanogpt)


def _mypt(model: mypt.GPT) -> Runner:
    return lambda idx, new: list(generate(model, idx, new, GREEDY))


def _hugging_face(shape: dict[str, Any]) -> Iterator[tuple[str, Runner]]:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions" if k == "block_size" else k: v for k, v in shape.items()}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    options = {"do_sample": False, "pad_token_id": 0, "disable_compile": True}
    for cache in ("dynamic", "static"):

        def run(idx: torch.Tensor, new: int, cache: str = cache) -> object:
            mask = torch.ones_like(idx)
            return model.generate(
                idx,
                attention_mask=mask,
                max_new_tokens=new,
                cache_implementation=cache,
                **options,
            )

        yield f"Hugging Face, {cache} cache", run


def _litgpt(shape: dict[str, Any]) -> Runner:
    """Its own loop takes one row; several go through the same step with its cache."""
    from litgpt import GPT, Config

    config = Config(
        **shape,
        padded_vocab_size=shape["vocab_size"],
        gelu_approximate="tanh",
        parallel_residual=False,
        bias=True,
        rotary_percentage=1.0,
    )
    model = GPT(config).eval()

    def run(idx: torch.Tensor, new: int) -> None:
        length = idx.size(1)
        model.clear_kv_cache()
        model.max_seq_length = length + new
        model.set_kv_cache(batch_size=idx.size(0))
        positions = torch.arange(length)
        for end in range(length, length + new):
            idx = model(idx, positions)[:, -1:].argmax(-1)
            positions = torch.tensor([end])

    return run


def _nanogpt(shape: dict[str, Any], checkout: Path) -> Runner:
    module = import_nanogpt(checkout)
    model = module.GPT(module.GPTConfig(**shape, dropout=0.0, bias=True)).eval()
    return lambda idx, new: model.generate(idx, new, top_k=1)


if __name__ == "__main__":
    main()
