"""Small models of transformers, with adapters of peft."""

import warnings

import pytest
import torch

IDX = torch.arange(12)[None]


@pytest.fixture(scope="session")
def peft(transformers):
    """The package of Hugging Face, whose import warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("peft")


@pytest.fixture(scope="session")
def bases(transformers, tmp_path_factory):
    """Folders of small models of transformers, by family."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"vocab_size": 30, "max_position_embeddings": 16, "intermediate_size": 24}
    grouped = {**sizes, "num_key_value_heads": 1}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    gpt2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 30, "n_positions": 16}
    configs = {
        "gpt2": transformers.GPT2Config(**gpt2, bos_token_id=1, eos_token_id=1),
        "llama": transformers.LlamaConfig(**grouped),
        "phi3": transformers.Phi3Config(**grouped, **ids),
    }
    root = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    for name, config in configs.items():
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(root / name)
    return {name: root / name for name in configs}


@pytest.fixture
def adapt(transformers, peft, bases, tmp_path):
    """Give what saves an adapter of peft beside a base; gives its folder, and its logits."""

    def call(family, targets, **settings):
        turned = family == "gpt2" and "lm_head" not in targets and "wte" not in targets
        settings = {"fan_in_fan_out": turned, **settings}
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, **settings)
        base = transformers.AutoModelForCausalLM.from_pretrained(bases[family])
        model = peft.get_peft_model(base, config)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.copy_(torch.randn_like(parameter) * 0.3)
            model.save_pretrained(tmp_path / "adapter")
            return tmp_path / "adapter", model.eval()(IDX).logits

    return call
