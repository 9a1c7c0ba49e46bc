import pytest
import torch

from mypt.export.peft.names import name_tensor
from mypt.export.peft.products import read_products
from mypt.export.peft.settings import read_settings
from mypt.format.errors import FormatError

SETTINGS = read_settings({"peft_type": "LORA", "r": 2, "lora_alpha": 6}, "config")
PAIR = {name_tensor("q", "lora_A"): torch.ones(2, 5), name_tensor("q", "lora_B"): torch.ones(3, 2)}


def test_each_module_has_its_two_matrices():
    (product,) = read_products(PAIR, SETTINGS, "file").values()
    assert (product.a.shape, product.b.shape, product.scale) == ((2, 5), (3, 2), 3)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({name_tensor("k", "lora_A"): torch.ones(2, 5)}, "is missing"),
        ({name_tensor("q", "lora_B"): torch.ones(3, 4)}, "has shape .3, 4., and the rank is 2"),
        ({"q.lora_magnitude_vector": torch.ones(3)}, "is no matrix of LoRA"),
    ],
)
def test_what_is_no_pair_of_the_rank_is_refused(changed, what):
    with pytest.raises(FormatError, match=what):
        read_products({**PAIR, **changed}, SETTINGS, "file")
