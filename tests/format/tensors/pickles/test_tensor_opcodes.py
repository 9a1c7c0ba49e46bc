"""Python's own `pickle` is what each opcode is measured by."""

import pickle
import pickletools

from hypothesis import given, settings
from hypothesis import strategies as st

from mypt.format.tensors.pickles.pickle_reader import read_pickle
from mypt.format.tensors.pickles.tensor_opcodes import OPERATIONS

KEYS = st.text(max_size=4) | st.integers(-(2**31), 2**31 - 1)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(VALUES)
def test_plain_values_are_those_of_python(value):
    data = pickle.dumps(value, 2)
    found, storages = read_pickle(data, "data.pkl")
    assert repr(found) == repr(pickle.loads(data)) == repr(value)
    assert storages == {}


def test_values_that_stand_in_several_places_are_remembered_by_any_number():
    shared = ["same"]
    value = [shared, *range(300), shared, *({"k": i} for i in range(300)), shared]
    data = pickle.dumps(value, 2)
    assert {"LONG_BINPUT", "BINPUT", "BINGET"} <= {op.name for op, *_ in pickletools.genops(data)}
    assert read_pickle(data, "data.pkl")[0] == value


def test_no_opcode_of_another_meaning_is_known():
    known = {op.name for op in pickletools.opcodes if ord(op.code) in OPERATIONS}
    assert len(known) == len(OPERATIONS)
    assert known.isdisjoint({"INST", "OBJ", "NEWOBJ", "STACK_GLOBAL", "EXT1", "BUILD_LIST", "POP"})
