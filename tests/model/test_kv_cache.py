import pytest
import torch


@pytest.mark.parametrize(("asked", "room"), [(None, 8), (3, 3), (99, 8)])
def test_no_more_fits_than_a_block(make_model, asked, room):
    layer = make_model(block_size=8).make_cache(asked).layers[1]
    fits = torch.zeros(1, 1, room, 2)
    layer.extend(fits, fits, 0)
    with pytest.raises(RuntimeError):
        layer.extend(fits[:, :, :1], fits[:, :, :1], room)
