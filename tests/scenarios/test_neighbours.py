"""Every checkpoint of a neighbour opens with the logits of its program, or is refused by name.

There is no third outcome: what a reader does not understand is never opened all the same.
"""

import json
import re

import numpy as np
import pytest
import torch
from attrs import frozen

import mypt
from mypt.format.errors import FormatError
from mypt.format.migrate import Migrator
from mypt.format.validate import validate
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from tests.support.paths import FIXTURES, ROOT

NEIGHBOURS = FIXTURES / "neighbours"
BARE = {"tokenizer": "none"}
# By fixture, what has to be told of it.
OPENED = {
    "gguf_llama": {},
    "hf2_gpt2_hidden_names": {},
    "hf2_gpt2_tied_but_other_head": {},
    "hf_gpt2_bin": {},
    "hf_gemma": {},
    "hf_gemma2": {},
    "hf_granite": {},
    "hf_bloom": {},
    "hf_falcon": {},
    "hf_gpt2_act_silu": {},
    "hf_gpt2_inverse_layer": {},
    "hf_gpt_neo": {},
    "hf_gpt_neox": {},
    "hf_gptj": {},
    "hf_llama_gqa": {},
    "hf_llama_rope_llama3": {},
    "hf_llama_rope_yarn": {},
    "hf_mistral": {},
    "hf_olmo2": {},
    "hf_phi3": {},
    "hf_opt": {},
    "hf_phi": {},
    "hf_qwen2": {},
    "hf_qwen3": {},
    "hf_smollm3": {},
    "hf_stablelm": {},
    "lightning_nanogpt": BARE,
    "litgpt_gemma2": {},
    "litgpt_llama": {},
    "litgpt_phi2": {},
    "litgpt_pythia": {},
    "litgpt_qwen2_5": {},
    "llama2c_mha": {},
    "nanochat_d2": {},
    "nanogpt_2023_01_12": {},
    "nanogpt_2023_01_20": {},
    "tok_added": {},
    "tok_llama_like": {},
    "tok_pad_beyond": {},
    "tok_slow_files": {},
    "tok_wordpiece": {},
    "torch_dcp": {**BARE, "like": str(ROOT / "tests/scenarios/nanogpt_args.json")},
}
# By file, how far the logits of 8-bit weights are from those that are expected.
QUANTIZED = {"model_v2.bin": 0.3}
# Those whose tokenizer is there at every door.
WITH_TEXT = ("nanochat_d2", *(name for name in OPENED if name.startswith("tok_")))
# By fixture, the reason; later readers move them to the table above.
UNKNOWN = "; "  # no reader recognises it: what such files are, others test
REFUSED = {
    "hf_mixtral": "#/model_type: is mixtral, a mixture of experts, of which each token uses some",
    "nanogpt_fork_relu": "#/model_args/activation: is not known to mypt",
}

pytestmark = pytest.mark.skipif(
    not NEIGHBOURS.is_dir(), reason="the checkpoints of neighbours are not beside this checkout"
)


@frozen
class Neighbour:
    """A checkpoint, what has to be told of it, and what its program computes of a prompt."""

    path: object
    options: dict
    prompt: torch.Tensor
    logits: np.ndarray
    bound: float
    text: str | None
    text_ids: list[int]
    decoded: str | None

    def check(self, model):
        self.check_tokenizer(model.tokenizer)
        with torch.no_grad():
            found = model(self.prompt)[0].numpy()
        np.testing.assert_allclose(found, self.logits, atol=self.bound, rtol=0)

    def check_tokenizer(self, tokenizer):
        """Compare the ids of the text; a model without one is compared by its logits alone."""
        if tokenizer is None or self.text is None:
            return
        assert tokenizer.encode(self.text) == self.text_ids
        if self.decoded is not None:
            assert tokenizer.decode(self.text_ids) == self.decoded


def read_neighbours(name, options):
    folder = NEIGHBOURS / name
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    prompt = torch.tensor([expected["prompt_ids"]])
    logits = np.load(folder / expected["logits_file"]).reshape(prompt.size(1), -1)
    for place in (expected["load"], *expected.get("also", ())):
        path = folder if place == "." else folder / place
        text, ids = expected["prompt_text"], expected.get("text_ids", expected["prompt_ids"])
        bound = QUANTIZED.get(path.name, 1e-5)
        yield Neighbour(path, options, prompt, logits, bound, text, ids, expected.get("decoded"))


@pytest.fixture
def migrator(plugins):
    def make(options):
        return Migrator(
            readers=tuple(plugins.readers.values()),
            written_by="the tests",
            layouts=plugins.layouts,
            options=options,
        )

    return make


def find_errors(path, plugins):
    found = validate(path, plugins.layouts, tuple(plugins.readers.values()), checksums=True)
    return [problem for problem in found if problem.severity == "error"]


def test_every_neighbour_is_in_a_table():
    held = {path.parent.name for path in NEIGHBOURS.glob("*/expected.json")}
    assert held == OPENED.keys() | REFUSED.keys()
    assert not OPENED.keys() & REFUSED.keys()


@pytest.mark.parametrize("name", OPENED)
def test_it_has_the_logits_of_its_program_at_every_door(name, plugins, migrator, tmp_path):
    for number, case in enumerate(read_neighbours(name, OPENED[name])):
        model = mypt.load(case.path, plugins=plugins, options=case.options)
        case.check(model)
        (token,) = generate(model, case.prompt, 1, Sampling(temperature=0))
        assert int(token) == case.logits[-1].argmax()
        if not case.options:  # validation asks for nothing
            assert find_errors(case.path, plugins) == []
        output = tmp_path / str(number)
        for result in ("migrated", "there already"):
            assert migrator(case.options).migrate(case.path, output).result == result
        assert find_errors(output, plugins) == []
        case.check(mypt.load(output, plugins=plugins))


@pytest.mark.parametrize("name", WITH_TEXT)
def test_its_tokenizer_comes_along(name, plugins):
    for case in read_neighbours(name, OPENED[name]):
        assert case.text is not None
        model = mypt.load(case.path, plugins=plugins, options=case.options)
        case.check_tokenizer(model.need_tokenizer())


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_reason_at_every_door(name, plugins, migrator, tmp_path):
    case = next(iter(read_neighbours(name, {})))
    reason = re.escape(REFUSED[name])
    with pytest.raises(FormatError, match=reason):
        mypt.load(case.path, plugins=plugins)
    with pytest.raises(FormatError, match=reason):
        mypt.get_model_info(case.path, plugins=plugins)
    with pytest.raises(FormatError, match=reason):
        migrator({}).migrate(case.path, tmp_path / "bundle")
    assert find_errors(case.path, plugins)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_no_other_path_to_it_opens(name, plugins):
    for case in read_neighbours(name, BARE):
        if case.path.name == "hf":  # that program's own way out, to transformers
            continue
        with pytest.raises(FormatError):
            mypt.load(case.path, plugins=plugins, options={})


def test_a_head_that_is_not_the_embedding_is_told_of(plugins):
    for name in ("nanogpt_2023_01_12", "hf2_gpt2_tied_but_other_head"):
        (case,) = read_neighbours(name, {})
        info = mypt.get_model_info(case.path, plugins=plugins)
        assert not info["config"]["tie_weights"]
        assert any("opened untied" in note for note in info["notes"])


def test_the_prefix_of_lightning_is_taken_off_and_told_of(plugins):
    for case in read_neighbours("lightning_nanogpt", BARE):
        info = mypt.get_model_info(case.path, plugins=plugins, options=BARE)
        assert "the names of the tensors are read without `model.`" in info["notes"]
