import pytest
import torch

import mypt
from mypt.data.batches.loader import GPTDataLoader
from mypt.engine.runtime.out_of_memory import TRAINING, OutOfMemoryError, explain_oom
from mypt.format.validate import validate

NO_MACHINE_HAS = 2**57


def ask_for_too_much(*_):
    torch.empty(NO_MACHINE_HAS, dtype=torch.uint8)


def test_memory_that_runs_out_is_one_line_with_what_to_lower():
    with pytest.raises(OutOfMemoryError) as refused, explain_oom(TRAINING):
        ask_for_too_much()
    line = str(refused.value)
    assert line.startswith(
        "memory: ran out while training, which asked for 144115.2 TB at once; lower batch_size "
        "and raise grad_accum_steps"
    )
    assert "\n" not in line


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_memory_of_a_gpu_that_runs_out_is_one_line():
    said = "ran out while training, which asked for"
    with pytest.raises(OutOfMemoryError, match=said), explain_oom(TRAINING):
        torch.empty(2**50, dtype=torch.uint8, device="cuda")


def test_the_class_of_torch_counts_whatever_its_message_says():
    with pytest.raises(OutOfMemoryError, match="ran out while training;"), explain_oom(TRAINING):
        raise torch.OutOfMemoryError("no words that mypt knows")


def test_memory_that_numpy_and_python_lack_counts_too():
    import numpy as np

    for allocate in (lambda: np.empty(NO_MACHINE_HAS, dtype=np.uint8), ask_python):
        with pytest.raises(OutOfMemoryError, match="ran out while training"), explain_oom(TRAINING):
            allocate()


def ask_python():
    return bytearray(NO_MACHINE_HAS)


def test_any_other_error_passes():
    with pytest.raises(RuntimeError, match="size of tensor"), explain_oom(TRAINING):
        torch.zeros(2) + torch.zeros(3)


def test_a_model_too_large_for_any_machine_is_refused(plugins):
    config = mypt.GPTConfig(vocab_size=2**31 - 1, n_embd=2**30, n_head=2)
    with pytest.raises(OutOfMemoryError, match="ran out while building the model"):
        mypt.GPT(config, plugins=plugins)


def test_a_run_that_lacks_memory_in_a_step_keeps_what_it_saved(train, monkeypatch, in_tmp):
    draw = GPTDataLoader.train_batch

    def train_batch(self, seed, step, *rest, **options):
        if step == 8:
            ask_for_too_much()
        return draw(self, seed, step, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(GPTDataLoader, "train_batch", train_batch)
        with pytest.raises(OutOfMemoryError, match="what was saved last is whole"):
            train()
    assert validate(in_tmp / "checkpoints" / "cat", checksums=True) == []
    assert train(tokenization=None).step == 12


def test_a_text_that_lacks_memory_is_refused(bundle):
    model = mypt.load(bundle)
    model.lm_head.register_forward_pre_hook(ask_for_too_much)
    with pytest.raises(OutOfMemoryError, match="while generating"):
        model.generate("the", max_new_tokens=2)
    with pytest.raises(OutOfMemoryError, match="while generating"):
        list(model.stream("the", max_new_tokens=2))
    with pytest.raises(OutOfMemoryError, match="while scoring"):
        model.score("the cat")


def test_fit_says_so_too(bundle, text):
    model = mypt.load(bundle)
    model.ln_f.register_forward_pre_hook(ask_for_too_much)
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text)
    with pytest.raises(OutOfMemoryError, match=r"while training beside .* weights, .* gradients"):
        model.fit(loader, max_iters=61, quiet=True)
