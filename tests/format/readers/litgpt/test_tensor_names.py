import pytest
import torch

from tests.support.litgpt_models import CASES, SIZES, check_logits, make_tensors, write_folder


def group_heads(matrix, groups, per_group, size):
    """Order the heads as releases before 0.5.5 did: the queries of a group, its key, its value."""
    q, k, v = matrix.split([groups * per_group * size, groups * size, groups * size])
    parts = [part.unflatten(0, (groups, -1)) for part in (q, k, v)]
    return torch.cat(parts, dim=1).flatten(0, 1)


@pytest.mark.parametrize("name", ["pythia", "llama", "falcon_7b", "qwen_2_5", "gemma_2"])
def test_heads_may_be_grouped_as_in_old_releases(tmp_path, plugins, name):
    config = SIZES | CASES[name]
    tensors = make_tensors(CASES[name])
    groups = config["n_query_groups"]
    old = {
        key.replace("attn.qkv", "attn.attn"): group_heads(
            t, groups, 4 // groups, config["head_size"]
        )
        if "attn.qkv" in key
        else t
        for key, t in tensors.items()
    }
    folder = write_folder(tmp_path / "model", CASES[name], old, step_count=0)
    check_logits(folder, tensors, CASES[name], plugins)
