import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.shared.wrappers import unwrap_names

ROOTS = ("transformer.", "lm_head.")
NAMES = ("transformer.wte.weight", "transformer.h.0.attn.c_attn.weight", "lm_head.weight")


def unwrap(*names, roots=ROOTS):
    found, notes = unwrap_names(dict.fromkeys(names), roots, "ckpt.pt")
    return tuple(found), notes


def test_names_without_a_wrapper_are_left_alone():
    assert unwrap(*NAMES) == (NAMES, ())


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("module.", "`module.`"),
        ("_orig_mod.", "`_orig_mod.`"),
        ("model.", "`model.`"),
        ("_orig_mod.module.", "`_orig_mod.`, `module.`"),
        ("module._orig_mod.", "`_orig_mod.`, `module.`"),
        ("_forward_module.net.gpt.", "`_forward_module.`, `net.`, `gpt.`"),
    ],
)
def test_a_common_prefix_is_taken_off_and_told_of(prefix, told):
    names, notes = unwrap(*(prefix + name for name in NAMES))
    assert names == NAMES
    assert notes == (f"the names of the tensors are read without {told}",)


def test_a_block_that_was_compiled_alone_has_its_own_names():
    names, notes = unwrap(NAMES[0], "transformer.h.0._orig_mod.attn.c_attn.weight", NAMES[2])
    assert names == NAMES
    assert notes


def test_a_prefix_that_belongs_to_the_model_stays():
    roots = ("model.layers.", "layers.", "lm_head.")
    for names in (("model.layers.0.x", "lm_head.weight"), ("model.layers.0.x",)):
        assert unwrap(*names, roots=roots)[0] == names
    names, _ = unwrap("model.model.layers.0.x", "model.lm_head.weight", roots=roots)
    assert names == ("model.layers.0.x", "lm_head.weight")


def test_what_lies_beside_the_model_keeps_its_name():
    names, _ = unwrap(*(f"model.{name}" for name in NAMES), "loss.weight")
    assert names == (*NAMES, "loss.weight")


def test_nothing_is_taken_off_a_model_that_is_not_known():
    names = ("model.a.weight", "model.b.weight")
    assert unwrap(*names) == (names, ())


def test_a_tensor_that_is_there_twice_is_refused():
    with pytest.raises(FormatError, match=r"lm_head.weight: is there twice, as .* and as `_orig"):
        unwrap(*NAMES, "_orig_mod.lm_head.weight")
