from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.manifest import FileRecord
from mypt.format.documents.shards import ShardsRecord

RECORD = {
    "format_version": "2.0",
    "generation": 12,
    "files": {".metadata": {"size_bytes": 3, "sha256": "0" * 64, "newer": 1}},
    "written_by": "mypt 1.0.0",
    "plugins": {},
    "checksum": None,
    "newer": [1],
}


def test_a_record_is_written_as_it_was_read_with_what_is_not_known():
    record = from_document(ShardsRecord, RECORD)
    assert record.files[".metadata"] == FileRecord(
        size_bytes=3, sha256="0" * 64, extra={"newer": 1}
    )
    assert to_document(record) == RECORD
