import pytest
import torch

from mypt.plugins import EndingLogitProcessor, LogitProcessorFactory, PluginError
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.isolation import isolate_factory

ORIGIN = PluginOrigin("acme", "acme-tools", "1.0")


class Ending:
    def __call__(self, logits, ids):
        return logits

    def is_complete(self, ids):
        return 1

    def is_done(self, ids):
        raise ValueError("oh")


def begin(made):
    factory = LogitProcessorFactory("mine", lambda options, tokenizer: lambda prompt_ids: made)
    isolated = isolate_factory(factory, "logit processor `mine`", ORIGIN, [].append)
    return isolated.build({}, None)([1])


def test_each_function_of_a_processor_names_its_plugin():
    processor = begin(Ending())
    assert isinstance(processor, EndingLogitProcessor)
    assert torch.equal(processor(torch.ones(2), ()), torch.ones(2))
    assert processor.is_complete(()) is True
    with pytest.raises(PluginError, match=r"acme of .* failed in `is_done` of its logit processor"):
        processor.is_done(())


def test_a_plain_processor_stays_one_that_ends_nothing():
    processor = begin(lambda logits, ids: None)
    assert not isinstance(processor, EndingLogitProcessor)
    with pytest.raises(PluginError, match=r"`__call__` .* returns NoneType, not Tensor"):
        processor(torch.ones(2), ())


def test_what_is_no_processor_is_a_fault():
    with pytest.raises(PluginError, match=r"failed in `begin` .* returns int, not a function"):
        begin(3)
