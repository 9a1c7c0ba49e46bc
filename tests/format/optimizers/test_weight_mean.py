"""The mean of a parameter beside what its optimizer keeps."""

from mypt.format.optimizers.declaration import StateTensor
from mypt.format.optimizers.weight_mean import KEY, add_mean, drop_mean

KEPT = {"momentum": StateTensor((2, 3))}


def test_the_mean_joins_what_is_declared_in_float32():
    assert add_mean(KEPT, (2, 3)) == {**KEPT, KEY: StateTensor((2, 3), "float32")}


def test_what_is_the_optimizers_stays():
    entry = {"momentum": 1, KEY: 2}
    assert drop_mean(entry, KEPT) == {"momentum": 1}
    assert drop_mean(entry, {**KEPT, KEY: StateTensor((2, 3))}) == entry
    assert drop_mean({"momentum": 1}, KEPT) == {"momentum": 1}
