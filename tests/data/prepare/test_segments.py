from hypothesis import given, settings
from hypothesis import strategies as st

from mypt.data.prepare.segments import TextFile, inputs_sha256, plan_segments


def sources(tmp_path, texts):
    for number, text in enumerate(texts):
        (tmp_path / f"{number}").write_bytes(text.encode())
    paths = [tmp_path / f"{number}" for number in range(len(texts))]
    return [TextFile(path, path.name, path.stat().st_size, "1") for path in paths]


def texts_of(segments, split):
    stretches = [(s.path.read_bytes()[s.start : s.end], s) for s in segments if s.split == split]
    return b"".join(
        data + b"\n" * (s.is_followed and not data.endswith(b"\n")) for data, s in stretches
    ).decode()


def test_the_end_of_one_text_validates_from_the_start_of_a_line_on(tmp_path):
    text = "".join(f"line {n}\n" for n in range(100))
    segments = plan_segments(sources(tmp_path, [text]), 0.1)
    train, val = texts_of(segments, "train"), texts_of(segments, "val")
    assert train + val == text
    assert val.startswith("line ")
    assert len(val) / len(text) - 0.1 < 0.01


def test_of_many_files_whole_ones_validate(tmp_path):
    files = sources(tmp_path, [f"{n} " * 20 for n in range(200)])
    segments = plan_segments(files, 0.1)
    assert all((s.start, s.end) == (0, s.path.stat().st_size) for s in segments)
    val = {s.path.name for s in segments if s.split == "val"}
    train = {s.path.name for s in segments if s.split == "train"}
    assert not val & train
    assert len(val | train) == 200
    assert 15 <= len(val) <= 20
    assert max(map(int, val)) > 100 > min(map(int, val))


def test_a_file_stays_on_its_side_when_the_order_changes(tmp_path):
    files = sources(tmp_path, [f"{n} " * 20 for n in range(200)])
    both = [plan_segments(order, 0.1) for order in (files, files[::-1])]
    val = [{s.path.name for s in segments if s.split == "val"} for segments in both]
    assert val[0] == val[1]


@settings(max_examples=100)
@given(
    texts=st.lists(st.text("aé\n😀", min_size=1, max_size=60), min_size=1, max_size=6),
    val_fraction=st.floats(0, 1),
)
def test_every_byte_is_in_one_segment_and_no_character_is_cut(
    tmp_path_factory, texts, val_fraction
):
    files = sources(tmp_path_factory.mktemp("texts"), texts)
    segments = plan_segments(files, val_fraction)
    assert [s.split for s in segments] == sorted(s.split for s in segments)
    for number, text in enumerate(texts):
        here = sorted((s for s in segments if s.path.name == str(number)), key=lambda s: s.start)
        data = [s.path.read_bytes()[s.start : s.end] for s in here]
        assert all(data)
        assert "".join(part.decode() for part in data) == text
    total = len("".join(texts_of(segments, split) for split in ("train", "val")))
    assert total >= len("".join(texts))


def test_the_digest_of_the_inputs_tells_changes(tmp_path):
    files = sources(tmp_path, ["a", "b"])
    digests = {
        inputs_sha256(files),
        inputs_sha256(files[::-1]),
        inputs_sha256(files[:1]),
        inputs_sha256([files[0], TextFile(files[1].path, "1", 1, "2")]),
    }
    assert len(digests) == 4
