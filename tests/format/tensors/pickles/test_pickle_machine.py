import pickle

import pytest

from mypt.format.errors import FormatError
from mypt.format.tensors.pickles import pickle_machine
from mypt.format.tensors.pickles.pickle_machine import PickleMachine
from mypt.format.tensors.pickles.tensor_opcodes import OPERATIONS


class Machine(PickleMachine):
    """Knows nothing of what a file names, calls or refers to."""

    operations = OPERATIONS

    def find_global(self, name):
        return name

    def find_stored(self, reference):
        return reference

    def call(self, function, arguments):
        return [function.decode(), arguments]

    def set_state(self, target, state):
        return [target, state]


def run(data):
    return Machine(data, "data.pkl").run()


def kind_of(data):
    with pytest.raises(FormatError) as caught:
        run(data)
    (problem,) = caught.value.problems
    assert problem.file == "data.pkl"
    return problem.kind


def test_what_a_file_names_and_calls_is_asked_of_the_machine_that_knows_it():
    # collections.OrderedDict called with nothing, then given a state
    data = b"\x80\x02ccollections\nOrderedDict\n)Rq\x00X\x01\0\0\0ab."
    assert run(data) == [["collections\nOrderedDict", ()], "a"]
    assert run(b"\x80\x02(X\x01\0\0\0aX\x01\0\0\0btQ.") == ("a", "b")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x80\x04N.", "pickle.protocol"),
        (b"N.", "pickle.protocol"),
        (b"\x80\x02N", "pickle.malformed"),
        (b"\x80\x02N.N", "pickle.malformed"),
        (b"\x80\x02.", "pickle.malformed"),
        (b"\x80\x02X\xff\xff\xff\xffa.", "pickle.malformed"),
        (b"\x80\x02h\x07.", "pickle.malformed"),
        (b"\x80\x02]N)e.", "pickle.malformed"),
        (b"\x80\x02}G\0\0\0\0\0\0\0\0Ns.", "pickle.key"),
        (b"\x80\x02}J\xff\xff\xff\x7fNs.", None),
        (b"\x80\x02}\x8a\x05\0\0\0\0\x01Ns.", "pickle.key"),
        (b"\x80\x02cos\nsystem\n.", "pickle.global"),
    ],
)
def test_each_kind_of_damage_is_one_error(data, kind):
    if kind is None:
        assert run(data) == {2**31 - 1: None}
    else:
        assert kind_of(data) == kind


def test_an_opcode_that_no_tensor_needs_is_named():
    with pytest.raises(FormatError, match="the pickle operation INST, which no tensor needs"):
        run(b"\x80\x02(ios\nsystem\n.")
    with pytest.raises(FormatError, match="the pickle operation 0xff"):
        run(b"\x80\x02\xff.")


def test_what_is_nested_too_deeply_or_holds_itself_is_refused():
    deep = b"]" * pickle_machine.MAX_DEPTH
    assert run(b"\x80\x02" + deep + b"a" * (pickle_machine.MAX_DEPTH - 1) + b".")
    assert kind_of(b"\x80\x02]" + deep + b"a" * pickle_machine.MAX_DEPTH + b".") == "pickle.limit"
    itself = []
    itself.append(itself)
    assert kind_of(pickle.dumps(itself, 2)) == "pickle.limit"


def test_the_number_of_operations_is_limited_also_of_those_done_at_once(monkeypatch):
    monkeypatch.setattr(pickle_machine.PickleMachine, "max_operations", 10)
    assert run(b"\x80\x02" + b"N" * 9 + b".") is None
    assert kind_of(b"\x80\x02" + b"N" * 10 + b".") == "pickle.limit"
    machine = Machine(b"\x80\x02NN.", "data.pkl")
    machine.skipped = 8
    with pytest.raises(FormatError, match="more than 10 operations"):
        machine.run()
