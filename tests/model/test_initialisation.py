import math

import torch

from mypt.model.initialisation import initialise
from mypt.model.transformer import Transformer

LARGE = {"n_embd": 96, "n_head": 4, "vocab_size": 500, "block_size": 64, "n_layer": 3}


def initialised(plugins, config, seed=0):
    model = Transformer(config, plugins)
    initialise(model, seed)
    return dict(model.named_parameters())


def test_the_seed_alone_decides(plugins, tiny):
    torch.manual_seed(1)
    first = initialised(plugins, tiny(pos_encoding="rope"))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    model = Transformer(tiny(pos_encoding="rope"), plugins)
    torch.set_rng_state(state)
    initialise(model, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], p) for name, p in model.named_parameters())
    other = initialised(plugins, tiny(pos_encoding="rope"), seed=1)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_values_are_distributed_as_stated(plugins, tiny):
    for mlp_type, last in (("gelu", "net.2"), ("swiglu", "w_down")):
        residual = {".sa.proj.weight", f".fwd.{last}.weight"}
        parameters = initialised(plugins, tiny(**LARGE, mlp_type=mlp_type, bias=True))
        for name, parameter in parameters.items():
            if name.endswith("bias"):
                assert not parameter.any()
            elif parameter.dim() == 1:
                assert (parameter == 1).all()
            else:
                is_residual = any(name.endswith(ending) for ending in residual)
                std = 0.02 / math.sqrt(6) if is_residual else 0.02
                count = parameter.numel()
                assert abs(parameter.mean()) < 5 * std / math.sqrt(count)
                assert abs(parameter.std() / std - 1) < 5 / math.sqrt(2 * count)


def test_a_new_model_expects_every_id_alike(plugins, tiny, ids):
    model = Transformer(tiny(tie_weights=True), plugins)
    initialise(model, 0)
    loss = model.eval().loss(ids(8, 16), ids(8, 16))
    assert abs(loss.item() - math.log(31)) < 0.1


def test_a_part_may_set_its_own_values(plugins, tiny):
    model = Transformer(tiny(), plugins)
    model.ln_f.reset = lambda generator: model.ln_f.weight.uniform_(5, 6, generator=generator)
    initialise(model, 0)
    assert (model.ln_f.weight >= 5).all()
    assert (model.blocks[0].ln1.weight == 1).all()
