"""Texts continued by `GPT.generate`, `stream` and `generate_many`, on real checkpoints."""

import json
import subprocess
import sys

import pytest
import torch

import mypt
from mypt.format.errors import ConfigError
from mypt.model.decoding import decoder
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.plugins.manager import load_plugins
from tests.support.paths import FIXTURES

CASES = sorted(
    path.parent
    for group in ("mypt", "foreign")
    for path in FIXTURES.glob(f"{group}/*/expected_logits.npy")
)


PROMPTS = ["the cat sat", "l", "", "line 12: the cat sat on the mat, 144 times.\n", "mat"]


GREEDY = Sampling(temperature=0)


@pytest.fixture(params=CASES or [None], ids=lambda path: path and path.name)
def case(request):
    """A checkpoint of an earlier or foreign program and the ids of a prompt."""
    if request.param is None:
        pytest.skip("the checkpoints of the earlier programs are not beside this checkout")
    folder = request.param
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    file = expected.get("checkpoint", expected.get("checkpoint_file")) or "."
    options = {"lora_alpha": expected["lora_alpha"]} if "lora_alpha" in expected else {}
    training_text = folder / "advice_letters.txt"
    if training_text.exists() and "bpe" not in folder.name:
        options["training_text"] = str(training_text)
    model = mypt.load(folder / file, plugins=load_plugins(), options=options)
    return model, expected["prompt_ids"]


def test_greedy_tokens_are_the_same_with_the_cache_without_it_and_in_a_batch(case, monkeypatch):
    model, ids = case
    new = model.config.block_size + 8 - len(ids)  # past the block, where the window slides
    prompts = [torch.tensor(ids), torch.tensor(ids[:2]), torch.tensor(ids[2:])]
    together = torch.stack(list(generate(model, prompts, new, GREEDY)), dim=1)
    monkeypatch.setattr(decoder, "LARGE_BYTES", 0)  # as for a model that no cache holds
    monkeypatch.setattr(decoder, "PACKED_FROM", 0)
    packed = torch.stack(list(generate(model, prompts, new, GREEDY)), dim=1)
    assert torch.equal(packed, together)
    monkeypatch.setattr(decoder, "MANY_TOKENS", 1)
    turned = torch.cat(list(generate(model, prompts[0][None], new, GREEDY)))
    assert torch.equal(turned, together[0, -new:])
    for row, prompt in zip(together, prompts, strict=True):
        reference = prompt[None]
        with torch.inference_mode():
            for _ in range(new):
                logits = model(reference[:, -model.config.block_size :])[:, -1]
                reference = torch.cat([reference, logits.argmax(-1, keepdim=True)], dim=1)
        wanted = reference[0, len(prompt) :]
        for use_cache in (True, False):
            tokens = generate(model, prompt[None], new, GREEDY, use_cache=use_cache)
            assert torch.equal(torch.cat(list(tokens)), wanted)
        begin = len(prompt) - 2
        assert torch.equal(row[begin : begin + new], wanted)


@pytest.mark.parametrize("options", [{}, {"top_k": 5, "repetition_penalty": 1.2}, {"min_p": 0.1}])
def test_the_same_seed_gives_the_same_text_whatever_the_batch(model, options):
    kept = {"seed": 5, **options}
    alone = [model.generate(prompt, 30, **kept) for prompt in PROMPTS]
    for batch_size in (1, 2, 32):
        many = model.generate_many(PROMPTS[::-1], 30, batch_size=batch_size, **kept)
        assert [one.prompt + one.text for one in many] == alone[::-1]
    assert ["".join(model.stream(p, 30, sampling=Sampling(**kept))) for p in PROMPTS] == [
        text.removeprefix(prompt) for text, prompt in zip(alone, PROMPTS, strict=True)
    ]


def test_samples_of_a_prompt_differ_and_the_first_is_the_one_alone(model):
    few = [one.text for one in model.generate_many(["the", "cat"], 30, samples=2, seed=1)]
    more = [one.text for one in model.generate_many(["the", "cat"], 30, samples=4, seed=1)]
    assert [*more[:2], *more[4:6]] == few
    assert len(set(more)) == 8
    assert few[0] == next(model.generate_many(["the"], 30, seed=1)).text


def test_other_seeds_give_other_texts_and_none_gives_another_each_time(model):
    texts = {model.generate("the", 40, temperature=1.5, seed=seed) for seed in range(5)}
    assert len(texts) == 5
    one, other = (next(model.generate_many(["the"], 40, temperature=1.5)) for _ in range(2))
    assert one.text != other.text
    again = next(model.generate_many(["the"], 40, temperature=1.5, seed=one.seed))
    assert again == one


def test_other_prompts_have_draws_of_their_own(model):
    even = {"temperature": 1e6, "top_p": None, "seed": 0}  # all tokens alike, the draw decides
    one, other = model.generate_many(["the", "cat"], 30, **even)
    assert one.ids != other.ids


def test_sampled_tokens_follow_the_models_distribution(model):
    prompt, n = "the c", 3000
    ids = torch.tensor([model.tokenizer.encode(prompt)])
    with torch.inference_mode():
        expected = model.next_logits(ids).div(2.0).softmax(-1)[0]
    drawn = model.generate_many(
        [prompt], 1, samples=n, batch_size=n, temperature=2.0, top_p=None, seed=0
    )
    counts = torch.tensor([one.ids[0] for one in drawn]).bincount(minlength=len(expected))
    common = n * expected >= 5
    pooled = torch.cat([counts[common], counts[~common].sum()[None]])
    wanted = n * torch.cat([expected[common], expected[~common].sum()[None]])
    chi_square = ((pooled - wanted) ** 2 / wanted.clamp(min=1e-9)).sum()
    degrees = int(common.sum())
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5


def test_a_text_ends_before_a_stop_string_and_the_others_go_on(model):
    free = [one.text for one in model.generate_many(PROMPTS, 60, temperature=0)]
    stop = free[0][7:9]
    stopped = list(model.generate_many(PROMPTS, 60, temperature=0, stop=[stop]))
    for one, text in zip(stopped, free, strict=True):
        assert one.text == text.split(stop)[0]
        assert one.stopped_by == (stop if stop in text else None)
    assert "".join(model.stream(PROMPTS[0], 60, sampling=GREEDY, stop=[stop])) == stopped[0].text


def test_a_text_ends_before_a_stop_token_named_by_id_or_text(model):
    free = next(model.generate_many(["the"], 60, temperature=0))
    text = model.tokenizer.decode([free.ids[5]])
    for token in (free.ids[5], text):
        one = next(model.generate_many(["the"], 60, temperature=0, stop_tokens=[token]))
        assert (one.text, one.stopped_by) == (free.text.split(text)[0], text)
        assert one.ids == free.ids[: free.ids.index(free.ids[5])]


def test_a_single_stop_is_one_and_not_its_characters(model):
    free = "".join(model.stream("the", 60, temperature=0))
    stop, wanted = "th", free.split("th")[0]
    assert stop in free
    assert "t" in wanted
    assert model.generate("the", 60, temperature=0, stop=stop) == "the" + wanted
    assert "".join(model.stream("the", 60, temperature=0, stop=stop)) == wanted
    for token in ("h", model.tokenizer.encode("h")[0]):
        ended = model.generate("the", 60, temperature=0, stop_tokens=token)
        assert ended == "the" + free.split("h")[0]
    with pytest.raises(ConfigError, match="`the` is not one token but 3"):
        model.generate("the", 5, stop_tokens="the")


def test_a_single_text_in_the_place_of_prompts_is_refused(model):
    with pytest.raises(ConfigError, match=r"^prompts: are a single string; put it into a list"):
        model.generate_many("the", 5)


def test_options_are_fields_of_sampling_and_win_over_it(model):
    wanted = model.generate("the", 20, sampling=Sampling(temperature=0.5, seed=1))
    assert model.generate("the", 20, temperature=0.5, seed=1) == wanted
    assert model.generate("the", 20, sampling=Sampling(temperature=0.5), seed=1) == wanted
    assert "the" + "".join(model.stream("the", 20, temperature=0.5, seed=1)) == wanted


@pytest.mark.parametrize("method", ["generate", "stream", "generate_many"])
def test_an_option_that_is_none_is_told_the_nearest(model, method):
    prompt = ["the"] if method == "generate_many" else "the"
    said = r"^temprature: is not an option .did you mean `temperature`.*\ntop: is not an option"
    with pytest.raises(ConfigError, match=said):
        getattr(model, method)(prompt, 5, temprature=1, top=2)


def test_an_option_of_another_program_is_told_ours(model):
    said = r"^temp: is not an option .did you mean `temperature`.*\ndo_sample: .*: 0 takes the like"
    with pytest.raises(ConfigError, match=said):
        model.generate("the", 5, temp=1, do_sample=False)


def test_stops_that_cannot_be_are_refused(model):
    with pytest.raises(ConfigError, match="is empty"):
        model.generate("the", 5, stop=[""])
    with pytest.raises(ConfigError, match="not one token but 3"):
        model.generate("the", 5, stop_tokens=["cat"])
    with pytest.raises(ConfigError, match="make it 0 to"):
        model.generate("the", 5, stop_tokens=[10_000])


def test_probabilities_and_logits_are_the_models_own(model):
    options = {"temperature": 2.0, "repetition_penalty": 1.5, "seed": 0}
    details = {"log_probs": True, "logits": True}
    for one in model.generate_many(["the cat", "li"], 6, **details, **options):
        ids = model.tokenizer.encode(one.prompt) + list(one.ids)
        with torch.inference_mode():
            logits = model(torch.tensor([ids]))[0, -7:-1]
        torch.testing.assert_close(one.logits, logits, rtol=1e-4, atol=1e-4)
        found = torch.tensor(one.log_probs)
        wanted = logits.log_softmax(-1).gather(1, torch.tensor(one.ids)[:, None])[:, 0]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    plain = next(model.generate_many(["the cat"], 3))
    assert plain.log_probs is None
    assert plain.logits is None


def test_nothing_to_add_is_nothing_added(model):
    assert model.generate("the", 0) == "the"
    assert list(model.stream("the", 0)) == []
    assert list(model.generate_many([], 5)) == []
    with pytest.raises(ConfigError, match="max_new_tokens"):
        model.generate("the", -1)


@pytest.mark.parametrize("options", [{"max_new_tokens": 0}, {"regex": ""}], ids=str)
def test_the_logits_of_no_token_are_an_empty_tensor(model, options):
    if "regex" in options:
        pytest.importorskip("llguidance")
    (none,) = model.generate_many(["the"], log_probs=True, logits=True, **options)
    assert (none.ids, none.log_probs) == ((), ())
    assert none.logits.shape == (0, model.config.vocab_size)


def test_a_model_of_8_bits_generates_and_is_not_saved(bundle, tmp_path):
    model = mypt.load(bundle).quantize()
    assert model.generate("the", 60, seed=1) == model.generate("the", 60, seed=1)
    with pytest.raises(mypt.MyptError, match="8-bit"):
        model.save(tmp_path / "rounded")
    assert not (tmp_path / "rounded").exists()


def test_neither_opening_nor_generating_loads_the_compiler(bundle):
    """Which takes longer to import than torch itself; nor what only training needs."""
    program = (
        "import sys, mypt\n"
        f"model = mypt.load({str(bundle)!r})\n"
        "model.generate('the', 5)\n"
        "model.score('the cat')\n"
        "heavy = {'torch._dynamo', 'torch.distributed.fsdp', 'sympy', 'jsonschema', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_model_whose_weights_are_no_numbers_is_refused(bundle):
    model = mypt.load(bundle)
    with torch.no_grad():
        model.ln_f.weight.fill_(float("nan"))
    for continued in (lambda: model.generate("the"), lambda: list(model.stream("the"))):
        with pytest.raises(ConfigError, match=r"outputs NaN.*; use its gold copy"):
            continued()


def test_a_limit_that_is_never_reached_costs_nothing(model):
    free = next(model.generate_many(["the"], 60, seed=1))
    stop = free.text[20:24]
    one = next(model.generate_many(["the"], 10**18, seed=1, stop=stop))
    assert one.text == free.text.split(stop)[0]
    text = model.stream("the", 10**18, temperature=0)
    assert len([next(text) for _ in range(5)]) == 5
    many = model.generate_many(["the"], 2, samples=10**9, batch_size=2, seed=1)
    assert next(many).ids == free.ids[:2]


CAT = "\U0001f408"  # several tokens of GPT-2's, none of which is a character


def test_a_text_goes_on_within_a_character_from_its_ids():
    tokenizer = load_plugins().tokenizer("gpt2").train("")
    sizes = {"n_embd": 4, "block_size": 32, "vocab_size": 50257}
    config = mypt.GPTConfig(n_layer=1, n_head=1, head_bias=True, **sizes)
    model = mypt.GPT(config, tokenizer).eval()
    *begin, last = tokenizer.encode(f"a{CAT}")
    with torch.no_grad():
        model.lm_head.bias[last] = 99.0  # what it says next
    one = next(model.generate_many([begin], 1))
    assert (one.prompt, one.text, one.prompt_ids, one.ids) == ("a", CAT, tuple(begin), (last,))
    assert model.generate(begin, 1) == f"a{CAT}"
    text = model.stream(begin, 2)
    assert (text.prompt, list(text)) == ("a", [CAT, "\ufffd"])
    assert text.ids == [*begin, last, last]
    assert model.generate("a\ufffd", 1) != f"a{CAT}"


@pytest.mark.parametrize("prompt", ["the c", "line 3:", ""])
def test_a_text_that_goes_on_from_its_ids_is_the_one_that_never_paused(model, prompt):
    whole = next(model.generate_many([prompt], 30, temperature=0))
    begun = next(model.generate_many([prompt], 12, temperature=0))
    rest = next(model.generate_many([[*begun.prompt_ids, *begun.ids]], 18, temperature=0))
    assert begun.ids + rest.ids == whole.ids
    assert rest.prompt.endswith(begun.prompt + begun.text)
    text = model.stream(prompt, 12, temperature=0)
    assert text.prompt == prompt
    assert "".join(text) == begun.text
    assert tuple(text.ids) == (*begun.prompt_ids, *begun.ids)
    assert model.generate(text.ids, 18, temperature=0) == rest.prompt + rest.text
    assert model.generate(torch.tensor(text.ids), 18, temperature=0) == rest.prompt + rest.text


@pytest.mark.parametrize("prompt", [[0, 999], [-1], [1.5], ["the"], 5, None, b"the"])
def test_a_prompt_that_is_neither_text_nor_ids_is_refused(model, prompt):
    for method in (model.generate, model.stream, lambda prompt: model.generate_many([prompt])):
        with pytest.raises(ConfigError, match=r"^prompt: (is|holds the id) "):
            method(prompt)
