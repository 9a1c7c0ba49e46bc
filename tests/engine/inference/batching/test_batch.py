"""Texts of many models join and leave a batch at any time, and are what each would be alone."""

import random
from collections import deque

import pytest
import torch

import mypt
from mypt.engine.inference.batching.batch import Batch
from mypt.engine.inference.batching.request import TextRequest
from mypt.engine.inference.batching.running_text import RunningText
from mypt.engine.inference.continuation import Ending, GenerationSettings
from mypt.engine.inference.logit_processing import prepare_processing
from mypt.engine.inference.prompt_ids import encode_prompt
from mypt.engine.inference.text import TextRow
from mypt.model.decoding.joined_decoder import JoinedDecoder

TINY = {"block_size": 24, "vocab_size": 40, "n_embd": 24, "n_head": 4, "n_layer": 2}
ARCHITECTURES = {
    "learned": {},
    "rope": {"pos_encoding": "rope", "n_kv_head": 2, "norm_type": "rmsnorm"},
    "windows": {"pos_encoding": "rope", "sliding_window": 6, "window_pattern": "SF"},
    "dynamic": {
        "pos_encoding": "rope",
        "rope_scaling": {"kind": "dynamic", "factor": 4.0, "original_block_size": 12},
    },
    "alibi": {"pos_encoding": "alibi"},
    "nanochat": {
        **dict.fromkeys(("embedding_type", "stack_type", "head_type"), "nanochat"),
        "pos_encoding": "rope",
        "norm_type": "rmsnorm",
        "norm_weight": False,
        "qk_norm": "head",
        "mlp_bias": False,
    },
}


def make_model(seed, **changed):
    model = mypt.GPT(mypt.GPTConfig(**{**TINY, "dropout": 0.0, **changed}), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.2, generator=generator))
    return model


def draw_options(draw):
    options = {"seed": draw.randrange(100)}
    kind = draw.choice(["greedy", "plain", "nucleus", "penalty", "ngrams", "bias"])
    options |= {
        "greedy": {"temperature": 0},
        "plain": {"temperature": draw.choice([0.5, 1.0])},
        "nucleus": {"top_p": 0.7, "top_k": 9},
        "penalty": {"repetition_penalty": 1.3},
        "ngrams": {"no_repeat_ngram_size": 2, "temperature": 0},
        "bias": {"processors": {"logit_bias": {"bias": {"3": 2.0}}}},
    }[kind]
    return options


def begin(model, prompt, new, options):
    tokenizer = model.tokenizer_or_ids()
    settings = GenerationSettings(
        tokenizer=tokenizer,
        sampling=mypt.Sampling(**options),
        ending=Ending.of(tokenizer, new, (), (7,)),
    )
    ids = encode_prompt(tokenizer, prompt, model.config.vocab_size)
    processors = prepare_processing(model, settings).begin(ids.ids)
    row = TextRow(ids, settings, processors, model.config)
    return RunningText(TextRequest(ids, settings), row, model.config.block_size)


@pytest.mark.parametrize("changed", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_texts_that_join_and_leave_are_those_of_each_alone(changed):
    draw = random.Random(repr(changed))
    model = make_model(1, **changed)
    batch, waiting, asked = Batch(model, 4), deque(range(8)), []
    assert isinstance(batch._decoder, JoinedDecoder)
    while waiting or batch.texts:
        while waiting and len(batch.texts) < 4 and draw.random() < 0.5:
            waiting.popleft()
            prompt = [draw.randrange(40) for _ in range(draw.randint(1, 30))]
            new, options = draw.randint(0, 30), draw_options(draw)
            text = begin(model, prompt, new, options)
            if not text.is_done:
                batch.add(text)
            asked.append((prompt, new, options, text.request))
        if batch.texts and draw.random() < 0.03:
            draw.choice(batch.texts).request.cancel()
        batch.step()
    for prompt, new, options, request in asked:
        (alone,) = model.generate_many([prompt], new, stop_tokens=7, **options)
        ids = [token for piece in request for token in piece.ids]
        if request.finish_reason == "cancelled":
            assert ids == [*alone.ids][: len(ids)]
        else:
            assert ids == [*alone.ids]
            assert request.stopped_by == alone.stopped_by
