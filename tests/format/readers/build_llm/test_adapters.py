"""The adapters of build_llm_karpathy, kept apart from their base."""

import pytest
import torch

import mypt
from mypt.format.errors import FormatError


@pytest.fixture
def apart(copy_of, cli, tmp_path):
    """Write the base of a file with adapters, and the adapter beside it; give the case."""
    case = copy_of("build_llm_lora")
    told = [word for n, v in case.options.items() for word in ("--option", f"{n}={v}")]
    migrate = ("format", "migrate", case.path, *told)
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    code, out, err = cli(*migrate, "--option", "adapter=left_out", "--output", base)
    assert code == 0, out + err
    code, out, err = cli(*migrate, "--option", f"base={base}", "--output", tuned)
    assert code == 0, out + err
    return case, base, tuned


def test_the_logits_are_those_of_the_merged_model(apart, plugins):
    case, base, tuned = apart
    ids = torch.tensor([case.expected["prompt_ids"]])
    whole = mypt.load(case.path, plugins=plugins, options=case.options)
    adapter = mypt.load(tuned)
    torch.testing.assert_close(adapter(ids), whole(ids), atol=1e-5, rtol=1e-5)
    assert (mypt.load(base)(ids) - whole(ids)).abs().max() > 0.01
    assert all(".lora_" in name for name in adapter.state_dict())


def test_another_base_is_refused(apart, plugins):
    case, base, _ = apart
    model = mypt.load(base)
    with torch.no_grad():
        model.ln_f.weight.add_(1)
    model.save(base, overwrite=True)
    with pytest.raises(FormatError, match="has other weights than the file"):
        mypt.load(case.path, plugins=plugins, options={**case.options, "base": str(base)})
