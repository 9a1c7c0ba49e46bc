import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mypt.format.errors import ConfigError, FormatError, PluginError
from mypt.format.layout import BLOCK_NORMS, expected_tensors
from mypt.format.version import DISTRIBUTION
from mypt.model.transformer import Transformer
from mypt.plugins import PartFactory
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import Plugins
from tests.support.reference import Reference

PARTS = list(
    itertools.product(
        ("learned", "rope"), ("relu", "gelu", "gelu_tanh", "swiglu"), ("layernorm", "rmsnorm")
    )
)
VARIANTS = [
    {},
    {"bias": True, "tie_weights": True},
    {"head_size": 6, "mlp_hidden": 20, "attn_scale": 0.3, "norm_eps": 1e-3, "rope_scale": 2.0},
    {"qkv_bias": True, "mlp_bias": False, "norm_bias": False, "head_bias": False},
    {"proj_bias": True, "mlp_bias": True, "norm_bias": True, "rope_theta": 500.0},
]


ROPE = {"pos_encoding": "rope", "norm_type": "rmsnorm", "mlp_type": "swiglu"}
REACH = {"factor": 4.0, "original_block_size": 8}
LLAMA3 = {"kind": "llama3", **REACH, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
# The vocabulary of today's models, each word by itself and some together.
WORDS = [
    *({"block_type": kind} for kind in BLOCK_NORMS),
    *({**ROPE, "block_type": kind, "residual_scale": 0.4} for kind in BLOCK_NORMS),
    *({"mlp_type": kind} for kind in ("relu2", "quick_gelu", "silu", "tanh")),
    *({"mlp_type": kind, "mlp_bias": True} for kind in ("geglu", "geglu_tanh", "reglu")),
    {**ROPE, "rope_size": 4},
    {**ROPE, "rope_size": 3},
    {**ROPE, "rope_size": 5, "rope_scaling": {"kind": "yarn", **REACH}},
    {**ROPE, "rope_size": 2, "rope_pattern": "RN", "rope_scale": 3.0},
    {**ROPE, "rope_pattern": "N"},
    {**ROPE, "rope_scaling": {"kind": "dynamic", **REACH}},
    {**ROPE, "rope_scaling": LLAMA3},
    {**ROPE, "rope_scaling": {"kind": "yarn", **REACH}, "rope_theta": 100.0},
    {**ROPE, "rope_scaling": {"kind": "yarn", **REACH, "truncate": False}, "rope_size": 6},
    {"n_kv_head": 1},
    {"n_head": 6, "n_kv_head": 2, "bias": True, "head_size": 6},
    {"n_head": 4, "n_kv_head": 2, "qk_norm": "head"},
    {**ROPE, "n_head": 4, "n_kv_head": 2, "qk_norm": "width", "rope_size": 2},
    {"qk_norm": "head", "norm_offset": 1.0, "attn_scale": 2.0, "norm_eps": 0.1},
    {"qk_norm": "width", "norm_weight": False},
    {"attn_soft_cap": 0.7},
    {**ROPE, "attn_soft_cap": 1.5, "n_kv_head": 1, "sliding_window": 5},
    {"sliding_window": 1},
    {"sliding_window": 4, "n_layer": 3, "window_pattern": "SF"},
    {"sliding_window": 40},
    {**ROPE, "sliding_window": 3, "window_pattern": "FS", "rope_theta_sliding": 50.0},
    {
        **ROPE,
        "sliding_window": 3,
        "rope_theta_sliding": 50.0,
        "n_layer": 4,
        "rope_scale": 2.0,
        "window_pattern": "SF",
        "rope_pattern": "RRN",
        "rope_scaling": LLAMA3,
    },
    {"norm_weight": False},
    {"norm_type": "rmsnorm", "norm_weight": False, "norm_bias": True},
    {"norm_offset": 1.0},
    {"norm_type": "rmsnorm", "norm_offset": 0.5, "norm_bias": True},
    {"final_norm": False},
    {"block_type": "post_norm", "final_norm": True},
    {"embedding_scale": 5.0, "embedding_norm": True},
    {"logit_scale": 0.3, "logit_soft_cap": 2.0, "tie_weights": True, "head_bias": False},
]


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_tensors_are_those_of_the_layout_in_its_order(plugins, tiny, parts):
    pos_encoding, mlp_type, norm_type = parts
    for variant in VARIANTS:
        config = tiny(pos_encoding=pos_encoding, mlp_type=mlp_type, norm_type=norm_type, **variant)
        model = Transformer(config, plugins)
        found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        assert list(found.items()) == list(expected_tensors(config, plugins.layouts).items())
        tied = {"lm_head.weight"} if config.tie_weights else set()
        assert [name for name, _ in model.named_parameters()] == [n for n in found if n not in tied]


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_logits_are_those_of_an_independent_reference(make_model, ids, parts):
    pos_encoding, mlp_type, norm_type = parts
    for variant in VARIANTS:
        model = make_model(
            pos_encoding=pos_encoding, mlp_type=mlp_type, norm_type=norm_type, **variant
        )
        idx = ids(2, 16)
        for row, logits in zip(idx, model(idx), strict=True):
            expected = Reference(model.state_dict(), model.config).logits(row)
            torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_every_word_of_the_config_is_that_of_the_reference(make_model, plugins, ids, words):
    model = make_model(**words)
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert list(found.items()) == list(expected_tensors(model.config, plugins.layouts).items())
    idx = ids(2, 16)
    for row, logits in zip(idx, model(idx), strict=True):
        expected = Reference(model.state_dict(), model.config).logits(row)
        torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-4)


def test_a_model_without_blocks_works(make_model, ids):
    model = make_model(n_layer=0)
    idx = ids(1, 5)
    expected = Reference(model.state_dict(), model.config).logits(idx[0])
    torch.testing.assert_close(model(idx)[0].double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pos_encoding", ["learned", "rope"])
def test_the_future_does_not_change_the_past(make_model, ids, pos_encoding):
    model = make_model(pos_encoding=pos_encoding)
    idx = ids(1, 16)
    changed = idx.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 31
    before, after = model(idx), model(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9], rtol=0, atol=1e-6)
    assert (before[:, 9] - after[:, 9]).abs().max() > 1e-3


def test_dropout_acts_in_training_alone(plugins, tiny, ids):
    model = Transformer(tiny(dropout=0.5), plugins)
    idx = ids(1, 8)
    assert not torch.equal(model(idx), model(idx))
    model.eval()
    assert torch.equal(model(idx), model(idx))


def test_more_tokens_than_a_block_are_refused(make_model, ids):
    with pytest.raises(ConfigError, match=r"17 tokens.*block_size is 16"):
        make_model()(ids(1, 17))


def test_an_impossible_config_is_refused(plugins, tiny):
    with pytest.raises(ConfigError, match="n_embd"):
        Transformer(tiny(n_head=5), plugins)


def test_weights_load_into_a_meta_model_without_a_copy(make_model, plugins, ids, tmp_path):
    for config in ({"pos_encoding": "rope"}, {"pos_encoding": "rope", "tie_weights": True}):
        model = make_model(**config)
        torch.save(model.state_dict(), tmp_path / "model.pt")
        tensors = torch.load(tmp_path / "model.pt", mmap=True, weights_only=True)
        with torch.device("meta"):
            loaded = Transformer(model.config, plugins)
        loaded.load_weights(tensors)
        everything = {**dict(loaded.named_parameters()), **dict(loaded.named_buffers())}
        assert not [name for name, tensor in everything.items() if tensor.is_meta]
        for name, parameter in loaded.named_parameters():
            assert parameter.data_ptr() == tensors[name].data_ptr()
            assert parameter.requires_grad
        tied = loaded.lm_head.weight is loaded.token_embedding_table.weight
        assert tied == model.config.tie_weights
        idx = ids(2, 16)
        assert torch.equal(loaded.eval()(idx), model(idx))


def test_half_precision_weights_are_widened_unless_asked_otherwise(make_model, ids):
    model = make_model(pos_encoding="rope", tie_weights=True)
    halves = {name: tensor.bfloat16() for name, tensor in model.state_dict().items()}
    model.load_weights(halves)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    wide = model(ids(1, 16))
    model.load_weights(halves, dtype=None)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.position_embedding_table.table.dtype == torch.float32
    assert model(ids(1, 16)).dtype == torch.bfloat16
    assert wide.dtype == torch.float32


def test_rotation_angles_keep_their_precision_in_a_half_precision_model(make_model, ids):
    model = make_model(pos_encoding="rope")
    table = model.position_embedding_table.table.clone()
    model.bfloat16()
    assert torch.equal(model.position_embedding_table.table, table)
    with torch.device("meta"):
        empty = type(model.position_embedding_table)(model.config)
    assert torch.equal(empty.to_empty(device="cpu").table, table)
    assert model(ids(1, 4)).isfinite().all()


def test_wrong_tensors_are_all_named(make_model):
    model = make_model()
    tensors = dict(model.state_dict())
    del tensors["ln_f.weight"]
    tensors["blocks.0.sa.qkv.weight"] = torch.zeros(3, 24)
    tensors["blocks.7.ln1.weight"] = torch.zeros(24)
    with pytest.raises(FormatError) as raised:
        model.load_weights(tensors, file="dante/model.pt")
    assert {(p.where, p.kind) for p in raised.value.problems} == {
        ("ln_f.weight", "tensor.missing"),
        ("blocks.0.sa.qkv.weight", "tensor.shape"),
        ("blocks.7.ln1.weight", "tensor.unknown"),
    }
    assert "dante/model.pt blocks.0.sa.qkv.weight" in str(raised.value)


class Alibi(torch.nn.Module):
    """Linear biases (Press et al. 2022), as a plugin's author writes them."""

    def __init__(self, config):
        super().__init__()
        self.slopes = [2.0 ** -(head + 1) for head in range(config.n_head)]

    def forward(self, positions, key_positions):
        from mypt.plugins import Placement

        distance = key_positions - positions[:, None]
        return Placement(bias=torch.stack([slope * distance for slope in self.slopes]))


def with_part(part):
    import mypt.model.plugin
    from mypt.plugins import hookimpl

    class Stranger:
        @hookimpl
        def mypt_parts(self):
            return [part]

    plugins = Plugins()
    plugins.register(mypt.model.plugin, PluginOrigin("mypt.model.plugin", DISTRIBUTION, "0"))
    plugins.register(Stranger(), PluginOrigin("stranger", "stranger", "1"))
    return plugins


def test_a_plugin_can_bias_the_attention_scores(tiny, ids):
    plugins = with_part(PartFactory("pos_encoding", "alibi", build=Alibi))
    model = Transformer(tiny(pos_encoding="alibi", n_layer=1, n_head=1), plugins).eval()
    idx = ids(1, 6)
    x = model.token_embedding_table(idx)
    q, k, v = model.blocks[0].sa.qkv(model.blocks[0].ln1(x)).chunk(3, -1)
    distance = torch.arange(6) - torch.arange(6)[:, None]
    scores = (q @ k.mT) * 24**-0.5 + 0.5 * distance
    weights = F.softmax(scores.masked_fill(distance > 0, -math.inf), -1)
    x = x + model.blocks[0].sa.proj(weights @ v)
    x = x + model.blocks[0].fwd(model.blocks[0].ln2(x))
    torch.testing.assert_close(model(idx), model.lm_head(model.ln_f(x)))


def test_a_part_with_other_tensors_than_announced_is_refused(tiny):
    part = PartFactory(
        "norm_type", "odd", build=lambda _: torch.nn.Identity(), tensors=lambda _: {"weight": (2,)}
    )
    with pytest.raises(PluginError, match=r"ln_f\.weight"):
        Transformer(tiny(norm_type="odd"), with_part(part))


def test_an_unknown_part_is_named_with_the_nearest_known(plugins, tiny):
    with pytest.raises(ConfigError, match=r"mlp_type.*gelu2.*did you mean `gelu`"):
        Transformer(tiny(mlp_type="gelu2"), plugins)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"n_kv_head": 1},
        {"sliding_window": 3, "window_pattern": "SF"},
        {"attn_soft_cap": 2.0},
        {"block_type": "parallel"},
    ],
    ids=str,
)
@pytest.mark.parametrize("recomputes", [False, True])
def test_documents_in_a_row_are_learnt_from_as_if_each_were_alone(make_model, words, recomputes):
    model = make_model(pos_encoding="rope", block_size=16, n_layer=2, **words).train()
    idx = torch.tensor([[1, 2, 9, 3, 4, 5, 6, 9, 9, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3]])
    targets = idx.roll(-1, 1)
    whole = model.loss(idx, targets)
    model.document_end = 9
    model.activation_checkpointing = recomputes
    together = model.loss(idx, targets)
    model.document_end = None
    places = [(0, 0, 3), (0, 3, 8), (0, 8, 9), (0, 9, 11), (1, 0, 11)]
    parts = [
        model.loss(idx[row : row + 1, a:b], targets[row : row + 1, a:b]) * (b - a)
        for row, a, b in places
    ]
    assert together.item() == pytest.approx((sum(parts) / idx.numel()).item(), rel=1e-5)
    assert abs(together.item() - whole.item()) > 1e-4
    wanted = torch.autograd.grad(sum(parts) / idx.numel(), [*model.parameters()])
    found = torch.autograd.grad(together, [*model.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "words",
    [
        {"pos_encoding": "learned"},
        {"pos_encoding": "rope"},
        {"pos_encoding": "rope", "sliding_window": 3, "window_pattern": "SF"},
        {"pos_encoding": "learned", "n_kv_head": 1, "block_type": "parallel"},
    ],
    ids=str,
)
def test_a_text_that_shares_its_row_has_the_logits_of_the_text_alone(make_model, words):
    """The losses of all targets at a position are its logits, up to what softmax leaves out."""
    model = make_model(block_size=16, n_layer=2, **words)
    texts = [[1, 2, 9, 3], [4, 5, 6, 9, 9], [7], [8, 1, 2, 3, 4, 5]]
    row = torch.tensor([[number for text in texts for number in text]])
    segments = torch.tensor([[n for n, text in enumerate(texts) for _ in text]])

    def log_probs(idx, **given):
        """Return the log probability of some targets at each position, (T, V)."""
        targets, places = torch.arange(5), torch.eye(idx.size(1))
        found = [
            [-model.loss(idx, torch.full_like(idx, t), at[None], **given).item() for t in targets]
            for at in places
        ]
        return torch.tensor(found)

    alone = torch.cat([log_probs(torch.tensor([text])) for text in texts])
    torch.testing.assert_close(log_probs(row, segments=segments), alone, rtol=0, atol=1e-5)
    assert (log_probs(row) - alone).abs().max() > 1e-4
