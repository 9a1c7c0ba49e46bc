import math

import pytest
import torch
from attrs import evolve
from mypt_alibi.positions import AlibiPositions, compute_slopes

import mypt
from mypt.plugins import GPTConfig
from mypt.plugins.manager import load_plugins
from mypt.testing import TINY, check_part


@pytest.fixture(scope="module")
def factory():
    """The part as an installed plugin offers it: through its entry point."""
    return load_plugins().part("pos_encoding", "alibi")


def test_it_does_what_a_part_must(factory):
    check_part(factory)
    check_part(factory, evolve(TINY, n_head=3, block_size=9))


# What `get_slopes` of the authors' code gives (github.com/ofirpress/attention_with_linear_biases).
PUBLISHED = {
    1: [2**-8],
    2: [2**-4, 2**-8],
    8: [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256],
    16: [2 ** (-number / 2) for number in range(1, 17)],
    12: [
        *(1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256),
        *(1 / math.sqrt(2), 1 / math.sqrt(8), 1 / math.sqrt(32), 1 / math.sqrt(128)),
    ],
}


@pytest.mark.parametrize("n_head", PUBLISHED)
def test_slopes_are_the_published_ones(n_head):
    assert compute_slopes(n_head) == pytest.approx(PUBLISHED[n_head], rel=1e-12)


@pytest.mark.parametrize("n_head", [2, 3, 4, 6, 8, 12, 20])
def test_biases_are_those_of_transformers(n_head):
    """BLOOM has them as slopes times positions of keys, the same but for a constant per query."""
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    length = 7
    theirs = bloom.build_alibi_tensor(torch.ones(1, length), n_head, torch.float32)
    theirs = theirs.view(n_head, 1, length).expand(-1, length, -1)
    places = torch.arange(length)
    ours = AlibiPositions(GPTConfig(n_embd=8 * n_head, n_head=n_head))(places, places).bias
    past = torch.ones(length, length).tril().bool()
    weights = (bias.masked_fill(~past, -math.inf).softmax(-1) for bias in (ours, theirs))
    torch.testing.assert_close(*weights)


def test_a_model_is_trained_resumed_exactly_and_used(whole_life):
    whole_life("--pos_encoding", "alibi")


def test_it_has_no_parameters(tmp_path):
    config = evolve(TINY, pos_encoding="alibi")
    model = mypt.GPT(config)
    assert not list(model.position_embedding_table.parameters())
    model.save(tmp_path / "model")
    counted = mypt.get_model_info(tmp_path / "model")["parameters"]
    assert counted == sum(p.numel() for p in model.parameters())


def test_export_says_why_it_cannot(tmp_path, run_mypt):
    mypt.GPT(evolve(TINY, pos_encoding="alibi")).save(tmp_path / "checkpoints" / "model")
    code, _, said = run_mypt("export", "--to", "hf", "--model_name", "model", "--output", "hf")
    assert code == 1
    assert "the nearest class of transformers" in said


def test_export_writes_a_bloom(tmp_path, run_mypt):
    fields = {"embedding_norm": True, "bias": True, "mlp_type": "gelu_tanh", "head_bias": False}
    config = evolve(TINY, pos_encoding="alibi", mlp_hidden=4 * TINY.n_embd, **fields)
    mypt.GPT(config).save(tmp_path / "checkpoints" / "model")
    code, _, said = run_mypt("export", "--to", "hf", "--model_name", "model", "--output", "hf")
    assert code == 0, said
    assert '"BloomForCausalLM"' in (tmp_path / "hf" / "config.json").read_text()


def test_biases_can_be_scaled_and_rounded_as_falcon_does():
    falcon = pytest.importorskip("transformers.models.falcon.modeling_falcon")
    n_head, length = 6, 700
    mask = torch.ones(1, length, dtype=torch.int64)
    theirs = falcon.build_alibi_tensor(mask, n_head, torch.float32)
    settings = {"mypt-alibi": {"factor": 0.25, "dtype": "bfloat16"}}
    places = torch.arange(length)
    ours = AlibiPositions(GPTConfig(n_embd=48, n_head=n_head, plugins=settings))(places, places)
    torch.testing.assert_close(ours.bias, 0.25 * theirs, atol=0, rtol=0)
    exact = AlibiPositions(GPTConfig(n_embd=48, n_head=n_head))(places, places).bias
    assert not torch.equal(0.25 * exact[:, -1:], ours.bias - ours.bias[..., -1:])


def test_the_part_with_settings_does_what_a_part_must(factory):
    check_part(factory, evolve(TINY, plugins={"mypt-alibi": {"factor": 0.5}}))
    check_part(factory, evolve(TINY, plugins={"mypt-alibi": {"dtype": "bfloat16"}}))


@pytest.mark.parametrize("settings", [{"factor": 0}, {"dtype": "float16"}, {"slope": 1}])
def test_other_settings_are_refused(settings):
    with pytest.raises(mypt.ConfigError, match="mypt-alibi"):
        mypt.GPT(evolve(TINY, pos_encoding="alibi", plugins={"mypt-alibi": settings}))
