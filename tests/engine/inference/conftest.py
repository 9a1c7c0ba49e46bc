"""A model to continue and score texts."""

import pytest

import mypt


@pytest.fixture(scope="module")
def model(bundle):
    return mypt.load(bundle)
