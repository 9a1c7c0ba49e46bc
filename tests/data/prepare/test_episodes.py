import json
import re

import pytest
import torch

from mypt.chat.shipped import SHIPPED
from mypt.data.batches.loader import GPTDataLoader
from mypt.data.dataset import read_episodes, read_text_rules
from mypt.data.inspection.describe import check_dataset
from mypt.data.inspection.preview import find_tokenizer
from mypt.data.metadata import read_metadata
from mypt.data.prepare.episodes import ChatPreparation, prepare_chats
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins
from tests.support.chats import chat, episodes_of, prepare

CONFIG = GPTConfig(batch_size=4, block_size=32, vocab_size=50304)


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture(scope="module")
def special(fixtures, plugins):
    """A tokenizer with the special tokens of MyPT."""
    file = fixtures / "mypt" / "datasets" / "chat_gpt2" / "tokenizer_state.json"
    return plugins.tokenizer("gpt2").build(json.loads(file.read_text(encoding="utf-8")))


TURNS = ("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello!")


def prepared(tmp_path, plugins, lines, **options):
    return prepare(tmp_path / "chats", plugins, lines, **options)


def test_with_special_tokens_chats_are_written_as_mypt_wrote_them(tmp_path, plugins, special):
    lines = [
        chat(*TURNS),
        chat(("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D")),
    ]
    folder = prepared(tmp_path, plugins, lines, tokenizer=special)
    assert episodes_of(folder, plugins) == [
        (
            "<myPT_system>Be kind.</myPT_system><myPT_user>Hi</myPT_user>"
            "<myPT_assistant>Hello!</myPT_assistant><myPT_eot>",
            "Hello!</myPT_assistant><myPT_eot>",
        ),
        (
            "<myPT_user>A</myPT_user><myPT_assistant>B</myPT_assistant>"
            "<myPT_user>C</myPT_user><myPT_assistant>D</myPT_assistant><myPT_eot>",
            "B</myPT_assistant>D</myPT_assistant><myPT_eot>",
        ),
    ]


def test_a_data_set_says_where_turns_end_and_how_it_was_made(tmp_path, plugins, special):
    folder = prepared(tmp_path, plugins, [chat(*TURNS), chat(*TURNS[1:])], tokenizer=special)
    rules, ids = read_text_rules(folder), special.special_token_encoder
    roles = rules.special_tokens
    assert roles.eos == (ids["<myPT_eot>"], 50256)
    speakers = ("system", "user", "assistant")
    assert roles.turn_end == tuple(ids[f"</myPT_{role}>"] for role in speakers)
    assert rules.chat_template == SHIPPED["mypt"].source
    assert not rules.add_bos


def test_roles_that_do_not_fit_are_named(tmp_path, plugins):
    folder = prepared(tmp_path, plugins, [chat(*TURNS), chat(*TURNS[1:])], tokenization="char")
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "add_bos": "yes"}))
    with pytest.raises(DataError, match=r"tokenizer\.json#/add_bos"):
        read_text_rules(folder)


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_without_special_tokens_chats_are_plain_text(tmp_path, plugins, kind):
    lines = [chat(*TURNS), {"prompt": "1+1=", "completion": "2"}, "", {"text": "Only this."}]
    folder = prepared(tmp_path, plugins, lines, tokenization=kind)
    assert episodes_of(folder, plugins) == [
        ("1+1=2<|endoftext|>", "2<|endoftext|>"),
        ("Only this.<|endoftext|>",) * 2,
        (
            "System: Be kind.<|endoftext|>\nUser: Hi<|endoftext|>\nAssistant: Hello!<|endoftext|>",
            " Hello!<|endoftext|>",
        ),
    ]


def test_batches_carry_the_mask(tmp_path, plugins, special):
    lines = [chat(*TURNS), chat(("user", "A" * 300), ("assistant", "B" * 200))]
    folder = prepared(tmp_path, plugins, lines, tokenizer=special)
    loader = GPTDataLoader(CONFIG, special, dataset_dir=folder)
    batches = [loader.eval_batch(split, 0, 0) for split in ("train", "val")]
    for x, y, mask, _ in batches:
        assert (x.shape, y.shape, mask.shape) == ((4, 32),) * 3
        assert mask.dtype == torch.float32
        for ids, weights in zip(y, mask, strict=True):
            learnt = special.decode(ids[weights == 1].tolist())
            assert learnt in ("Hello!</myPT_assistant><myPT_eot>",) or learnt.endswith(
                "B</myPT_assistant><myPT_eot>"
            )
    assert {float(mask.sum()) for _, _, mask, _ in batches} != {0.0}


def test_the_same_conversation_is_never_on_both_sides(tmp_path, plugins):
    lines = [{"text": f"number {n % 10}"} for n in range(100)]
    folder = prepared(tmp_path, plugins, lines, tokenization="char", val_fraction=0.3)
    tokenizer = find_tokenizer(folder, plugins)
    sides = {
        split: {tokenizer.decode(part.tokens[s : s + n]) for part in parts for s, n in part.spans}
        for split, parts in read_episodes(folder).items()
    }
    assert (len(sides["train"]), len(sides["val"])) == (7, 3)
    assert not sides["train"] & sides["val"]


def test_the_metadata_vouch_for_the_files(tmp_path, plugins):
    folder = prepared(tmp_path, plugins, [{"text": "a b c"}, {"text": "d e"}])
    document = read_metadata(folder).document
    assert document["schema"] == "episode_indexed_sft_v1"
    assert (document["train_episodes"], document["val_episodes"]) == (1, 1)
    assert check_dataset(folder, checksums=True) == []
    loader = GPTDataLoader(CONFIG, plugins.tokenizer("gpt2").train(""), dataset_dir=folder)
    known = loader.fingerprint
    (folder / "dataset_metadata.json").unlink()
    again = GPTDataLoader(CONFIG, loader.tokenizer, dataset_dir=folder).fingerprint
    assert known == again
    mask = folder / "train" / "mask.bin"
    mask.write_bytes(b"\0" + mask.read_bytes()[1:])
    other = GPTDataLoader(CONFIG, loader.tokenizer, dataset_dir=folder).fingerprint
    assert other.sha256 != known.sha256


def test_every_bad_line_is_refused_by_file_and_line(tmp_path, plugins, special):
    lines = [chat(*TURNS), "{", chat(("user", "a")), chat(*TURNS), {"text": "a\0"}]
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, plugins, lines, tokenizer=special)
    problems = caught.value.problems
    assert {problem.file for problem in problems} == {str(tmp_path / "chats.jsonl")}
    assert [problem.where for problem in problems] == [
        "line 2",
        "line 3#/messages",
        "line 5#/text",
    ]
    assert not (tmp_path / "chats").exists()
    called = chat(*TURNS, tools=[{"name": "f"}])
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, plugins, [chat(*TURNS), called, chat(*TURNS[1:])], tokenizer=special)
    [problem] = caught.value.problems
    assert (problem.where, problem.file) == ("line 2#/tools", str(tmp_path / "chats.jsonl"))
    assert "is left out by the chat template" in problem.what
    assert not (tmp_path / "chats").exists()


def test_the_name_of_a_token_among_the_words_is_no_token(tmp_path, plugins, special):
    marked = {"instruction": "a", "output": "<myPT_eot>"}
    folder = prepared(tmp_path, plugins, [marked, chat(*TURNS)], tokenizer=special)
    ids = [part.tokens.tolist() for parts in read_episodes(folder).values() for part in parts]
    assert [i.count(special.special_token_encoder["<myPT_eot>"]) for i in ids] == [1, 1]


def test_a_weight_of_0_is_not_in_the_mask(tmp_path, plugins, special):
    masked = chat(("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D"))
    masked["messages"][1]["weight"] = 0
    folder = prepared(tmp_path, plugins, [masked, chat(*TURNS)], tokenizer=special)
    assert [learnt for _, learnt in episodes_of(folder, plugins)] == [
        "Hello!</myPT_assistant><myPT_eot>",
        "D</myPT_assistant><myPT_eot>",
    ]


def test_conversations_of_mypt_have_the_ids_that_it_wrote(tmp_path, plugins, special, fixtures):
    expected = fixtures / "mypt" / "datasets" / "chat_gpt2.expected.json"
    text = json.loads(expected.read_text(encoding="utf-8"))["train_text"]
    whole = {one.lstrip("\n") + "<myPT_eot>" for one in text.split("<myPT_eot>")[:-1]}
    whole = [one for one in whole if not re.search("_(think|cite|tool|user_context)", one)]
    lines = []
    for one in whole:
        said = re.findall(r"<myPT_(\w+)>(.*?)</myPT_", one, re.DOTALL)
        lines.append(chat(*said))
    assert lines
    folder = prepared(tmp_path, plugins, lines, tokenizer=special)
    found = {
        tuple(part.tokens[start : start + length].tolist())
        for parts in read_episodes(folder).values()
        for part in parts
        for start, length in part.spans
    }
    assert found == {tuple(special.encode(one)) for one in whole}
    state = json.loads((folder / "tokenizer_state.json").read_text(encoding="utf-8"))
    theirs = json.loads((expected.parent / "chat_gpt2" / "tokenizer_state.json").read_text())
    assert state["special_token_encoder"] == theirs["special_token_encoder"]


# The digests that decide which conversations validate, of forms that were there from the first on.
BEFORE = [
    *(chat(("system", "Be kind."), ("user", f"Hi {n}"), ("assistant", "Hello!")) for n in range(9)),
    *({**chat(("user", f"{n}?"), ("assistant", "A"), ("user", "more")), "id": n} for n in range(9)),
    *({"messages": [{"role": "assistant", "content": f"{n}", "name": "x"}]} for n in range(9)),
    *({"prompt": f"{n}+1=", "completion": f"{n + 1}"} for n in range(9)),
    *({"text": f"number {n}", "meta": n} for n in range(9)),
]


def test_what_was_prepared_before_is_split_as_it_was(tmp_path, plugins):
    folder = prepared(tmp_path, plugins, BEFORE, tokenization="char", val_fraction=0.3)
    document = read_metadata(folder).document
    assert (document["train_episodes"], document["val_episodes"]) == (31, 14)
    counted = document["conversations"]["roles"]
    assert {name: role["turns"] for name, role in counted.items()} == {
        "assistant": 27,
        "completion": 9,
        "prompt": 9,
        "system": 9,
        "text": 9,
        "user": 27,
    }


def test_weights_that_are_fractions_have_a_file_of_their_own(tmp_path, plugins):
    lines = [{"prompt": "a", "completion": f"b{n}", "weight": 0.5} for n in range(4)]
    lines += [{"prompt": "a", "completion": "c"}]
    folder = prepared(tmp_path, plugins, lines, val_fraction=0.5)
    assert check_dataset(folder, checksums=True) == []
    masks = [part.mask for parts in read_episodes(folder).values() for part in parts]
    assert "float32" in [mask.dtype.name for mask in masks]
    assert {w for mask in masks for w in mask.tolist()} == {0.0, 0.5, 1.0}


def test_a_conversation_that_no_row_holds_is_left_out_and_counted(tmp_path, plugins):
    lines = [chat(("user", "a"), ("assistant", f"b{n}")) for n in range(6)]
    lines += [chat(("user", "a" * 60), ("assistant", "b" * 60))]
    lines += [chat(("user", "a" * 60), ("assistant", "c"), ("user", "a"), ("assistant", "d"))]
    folder = prepared(tmp_path, plugins, lines, tokenization="char", block_size=40)
    counted = read_metadata(folder).document["conversations"]
    assert {k: counted[k] for k in ("shortened", "turns_left_out", "cut", "left_out")} == {
        "shortened": 1,
        "turns_left_out": 2,
        "cut": 0,
        "left_out": 1,
    }
    assert len(episodes_of(folder, plugins)) == 7
    with pytest.raises(DataError, match="holds no answer that fits into block_size 4"):
        prepare(tmp_path / "none", plugins, lines, tokenization="char", block_size=4)
    assert not (tmp_path / "none").exists()


def test_a_character_that_the_vocabulary_lacks_is_named_and_nothing_is_left(tmp_path, plugins):
    narrow = plugins.tokenizer("char").train("abc")
    with pytest.raises(DataError, match=r"chats\.jsonl line 2#/text: the vocabulary of 3 .* lacks"):
        prepared(tmp_path, plugins, [{"text": "ab"}, {"text": "xa"}], tokenizer=narrow)
    assert [path.name for path in tmp_path.iterdir()] == ["chats.jsonl"]


def test_one_conversation_is_too_little_and_a_full_folder_is_not_written_over(tmp_path, plugins):
    with pytest.raises(
        DataError, match="at least 2 different conversations are needed; there are 1"
    ):
        prepared(tmp_path, plugins, [{"text": "ab"}] * 3)
    prepared(tmp_path, plugins, [{"text": "a b"}, {"text": "c d"}])
    with pytest.raises(DataError, match="already exists"):
        prepared(tmp_path, plugins, [{"text": "a b"}, {"text": "c d"}])


def test_how_many_conversations_are_done_is_reported(tmp_path, plugins):
    (tmp_path / "chats.jsonl").write_text('{"text": "a b"}\n{"text": "c d"}\n{"text": "e"}')
    wanted = ChatPreparation(inputs=[str(tmp_path / "chats.jsonl")], output=tmp_path / "sft")
    told = []
    prepare_chats(wanted, plugins, lambda *done: told.append(done))
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_a_tokenizer_that_is_edited_in_one_of_its_two_files_is_named(tmp_path, plugins):
    folder = prepared(tmp_path, plugins, [{"text": "a b"}, {"text": "c d"}])
    file = folder / "tokenizer_state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "add_bos": True}))
    [problem] = check_dataset(folder, checksums=False)
    assert (problem.file, problem.severity) == (str(file), "warning")
    assert "differs from tokenizer.json, which is the one that counts" in problem.what
