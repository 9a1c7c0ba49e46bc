"""The data sources that come with mypt are registered as those of a package are."""

from mypt.data.plugin import mypt_data_sources
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins


def test_they_are_registered_and_keep_their_names(plugins):
    assert [*plugins.data_sources][:2] == ["jsonl", "text"]
    again = load_plugins()
    other = type("Other", (), {"mypt_data_sources": staticmethod(mypt_data_sources)})()
    again.register(other, PluginOrigin("mine", "my-package", "1.0"))
    assert again.data_source("jsonl") is not None
    assert again.source_of("mypt_data_sources", "jsonl").is_built_in
