import json
import warnings

import pytest
import torch
from attrs import evolve
from mypt_grouped_query.layout import PACKAGE, grouped_attention

import mypt
from mypt.format.readers.hugging_face import llama as hf_llama
from mypt.plugins import ConfigError, FormatError
from mypt.plugins.manager import load_plugins
from mypt.testing import TINY, check_part

IDS = torch.arange(20).reshape(2, 10) * 7 % 61


@pytest.fixture(scope="module")
def factory():
    """The part as an installed plugin offers it: through its entry point."""
    return load_plugins().part("attention_type", "grouped_query")


def grouped(n_kv_head, **changed):
    plugins = {PACKAGE: {"n_kv_head": n_kv_head}}
    return evolve(TINY, attention_type="grouped_query", plugins=plugins, **changed)


@pytest.fixture(scope="module")
def transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers")


@pytest.fixture
def saved(transformers, tmp_path):
    """Return a folder of a random Llama whose four heads share keys, and its logits."""

    def make(n_kv_head=2, **changed):
        torch.manual_seed(3)
        config = transformers.LlamaConfig(
            vocab_size=61,
            max_position_embeddings=16,
            hidden_size=24,
            intermediate_size=20,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=n_kv_head,
            bos_token_id=None,
            eos_token_id=None,
            **changed,
        )
        model = transformers.LlamaForCausalLM(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(tmp_path / "llama")
        with torch.no_grad():
            return tmp_path / "llama", model(IDS).logits

    return make


@pytest.mark.parametrize("n_kv_head", [1, 2, 4])
def test_it_does_what_a_part_must(factory, n_kv_head):
    check_part(factory, grouped(n_kv_head, pos_encoding="rope", bias=n_kv_head == 2))


def test_with_as_many_heads_of_keys_it_is_ordinary_attention():
    ours, plain = mypt.GPT(grouped(TINY.n_head)).eval(), mypt.GPT(TINY).eval()
    weights = dict(plain.state_dict())
    for layer in range(TINY.n_layer):
        q, k, v = weights.pop(f"blocks.{layer}.sa.qkv.weight").chunk(3)
        weights[f"blocks.{layer}.sa.q.weight"] = q
        weights[f"blocks.{layer}.sa.kv.weight"] = torch.cat([k, v])
    ours.load_weights(weights)
    idx = IDS % TINY.vocab_size
    torch.testing.assert_close(ours(idx), plain(idx))


@pytest.mark.parametrize(
    ("n_kv_head", "changed"),
    [(2, {}), (1, {"attention_bias": True}), (2, {"head_dim": 8, "tie_word_embeddings": True})],
)
def test_a_llama_with_shared_keys_gives_the_logits_of_transformers(saved, n_kv_head, changed):
    folder, wanted = saved(n_kv_head, **changed)
    with torch.no_grad():
        torch.testing.assert_close(mypt.load(folder)(IDS), wanted, atol=1e-5, rtol=0)


def test_such_a_llama_is_a_bundle_like_any_other(saved, run_mypt, tmp_path):
    folder, wanted = saved()
    model = mypt.load(folder)
    model.save("checkpoints/ours")
    code, out, _ = run_mypt("format", "validate", tmp_path / "checkpoints" / "ours")
    assert code == 0, out
    with torch.no_grad():
        torch.testing.assert_close(mypt.load("ours")(IDS), wanted, atol=1e-5, rtol=0)


def test_without_the_package_its_name_is_said(saved):
    folder, _ = saved()
    with pytest.raises(FormatError, match="pip install mypt-grouped-query"):
        mypt.load(folder, plugins=load_plugins([PACKAGE]))


def test_the_cache_is_smaller_by_the_ratio():
    sizes = {}
    for n_kv_head in (1, 2, 4):
        model = mypt.GPT(grouped(n_kv_head)).eval()
        cache = model.make_cache()
        model(IDS % TINY.vocab_size, cache)
        sizes[n_kv_head] = sum(
            tensor.untyped_storage().nbytes()
            for layer in cache.layers
            for tensor in layer.extend(*stored_of(layer), cache.length)
        )
    assert sizes[4] == 2 * sizes[2] == 4 * sizes[1]


def stored_of(layer):
    """Nothing more to store, so that `extend` gives what is there."""
    like = layer._stored[0]
    return (like[:, :, :0],) * 2


def test_a_model_is_trained_resumed_exactly_and_used(whole_life, tmp_path):
    preset = {"attention_type": "grouped_query", "plugins": {PACKAGE: {"n_kv_head": 2}}}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    model = whole_life("--config_file", tmp_path / "preset.json")
    assert model.blocks[0].sa.kv.weight.shape == (2 * 2 * 6, 24)
    counted = mypt.get_model_info("whole")["parameters"]
    assert counted == sum(p.numel() for p in model.parameters())


def test_heads_that_cannot_be_shared_evenly_are_refused():
    with pytest.raises(ConfigError, match=r"n_kv_head: is 3, which does not divide n_head \(4\)"):
        mypt.GPT(grouped(3))


def test_validation_refuses_them_too(run_mypt, tmp_path):
    mypt.GPT(grouped(2)).save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(path.read_text().replace('"n_kv_head": 2', '"n_kv_head": 3'))
    for command in (("format", "validate", path.parent), ("inspect", "--model_name", path.parent)):
        code, out, said = run_mypt(*command)
        assert code == 1
        assert (out + said).count("n_kv_head: is 3, which does not divide n_head (4)") == 1
    preset = {"n_head": 4, "n_embd": 24, "attention_type": "grouped_query"}
    preset["plugins"] = {PACKAGE: {"n_kv_head": 3}}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    code, out, said = run_mypt("format", "validate", "preset.json")
    assert code == 1
    assert "n_kv_head: is 3, which does not divide n_head (4)" in out + said


def test_settings_are_held_against_the_schema(run_mypt, tmp_path):
    mypt.GPT(grouped(2)).save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(path.read_text().replace('"n_kv_head": 2', '"n_kv_head": "two"'))
    code, out, said = run_mypt("format", "validate", tmp_path / "model")
    assert code == 1
    assert "/plugins/mypt-grouped-query/n_kv_head" in out + said


def test_export_says_why_it_cannot(run_mypt):
    mypt.GPT(grouped(2, pos_encoding="rope")).save("checkpoints/model")
    code, _, said = run_mypt("export", "--to", "hf", "--model_name", "model", "--output", "hf")
    assert code == 1
    assert (
        "/attention_type: is grouped_query; mypt writes causal only as a LlamaForCausalLM" in said
    )


def test_the_reader_of_mypt_knows_the_same_tensors():
    key = ("attention_type", "grouped_query")
    for config in (grouped(2), grouped(1, bias=True, head_size=8)):
        assert [*hf_llama.LAYOUTS[key](config).items()] == [*grouped_attention(config).items()]
