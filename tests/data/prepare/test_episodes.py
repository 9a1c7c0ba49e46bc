import json

import numpy as np
import pytest
import torch

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.dataset import read_episodes, read_text_rules
from mypt.data.describe import check_dataset
from mypt.data.metadata import read_metadata
from mypt.data.prepare.chats.template import Template
from mypt.data.prepare.episodes import ChatPreparation, prepare_chats
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins

CONFIG = GPTConfig(batch_size=4, block_size=32, vocab_size=50304)


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture(scope="module")
def special(fixtures, plugins):
    """A tokenizer with the special tokens of MyPT."""
    file = fixtures / "mypt" / "datasets" / "chat_gpt2" / "tokenizer_state.json"
    return plugins.tokenizer("gpt2").build(json.loads(file.read_text(encoding="utf-8")))


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


TURNS = ("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello!")


def prepared(tmp_path, plugins, lines, **options):
    file = tmp_path / "chats.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    file.write_text(text, encoding="utf-8")
    wanted = ChatPreparation(inputs=[str(file)], output=tmp_path / "sft", **options)
    prepare_chats(wanted, plugins)
    return wanted.output


def episodes_of(folder, tokenizer):
    """Text and what is learnt of each episode, of both splits."""
    found = []
    for parts in read_episodes(folder).values():
        for part in parts:
            for start, length in part.spans:
                here = slice(start, start + length)
                ids, mask = np.asarray(part.tokens[here]), np.asarray(part.mask[here]) == 1
                found.append((tokenizer.decode(ids), tokenizer.decode(ids[mask])))
    return sorted(found)


def test_with_special_tokens_chats_are_written_as_mypt_wrote_them(tmp_path, plugins, special):
    lines = [
        chat(*TURNS),
        chat(("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D")),
    ]
    folder = prepared(tmp_path, plugins, lines, tokenizer=special)
    assert episodes_of(folder, special) == [
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
    assert rules.chat_template == Template.of(special).to_jinja()
    assert not rules.add_bos


def test_roles_that_do_not_fit_are_named(tmp_path, plugins):
    folder = prepared(tmp_path, plugins, [chat(*TURNS), chat(*TURNS[1:])], tokenization="char")
    file = folder / "tokenizer_state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "add_bos": "yes"}))
    with pytest.raises(DataError, match=r"tokenizer_state\.json#/add_bos"):
        read_text_rules(folder)


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_without_special_tokens_chats_are_plain_text(tmp_path, plugins, kind):
    lines = [chat(*TURNS), {"prompt": "1+1=", "completion": "2"}, "", {"text": "Only this."}]
    folder = prepared(tmp_path, plugins, lines, tokenization=kind)
    state = json.loads((folder / "tokenizer_state.json").read_text(encoding="utf-8"))
    tokenizer = plugins.tokenizer(kind).build(state)
    assert episodes_of(folder, tokenizer) == [
        ("1+1=2", "2"),
        ("Only this.", "Only this."),
        ("System: Be kind.\n\nUser: Hi\n\nAssistant: Hello!\n\n", " Hello!\n\n"),
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
    state = json.loads((folder / "tokenizer_state.json").read_text(encoding="utf-8"))
    tokenizer = plugins.tokenizer("char").build(state)
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
    marked = {"instruction": "a", "output": "<myPT_eot>"}
    lines = [chat(*TURNS), "{", chat(("user", "a")), chat(*TURNS), marked]
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, plugins, lines, tokenizer=special)
    problems = caught.value.problems
    assert {problem.file for problem in problems} == {str(tmp_path / "chats.jsonl")}
    assert [problem.where for problem in problems] == [
        "line 2",
        "line 3#/messages",
        "line 5#/output",
    ]
    assert problems[2].what.startswith("contains <myPT_eot> in its text")
    assert not (tmp_path / "sft").exists()


def test_a_weight_of_0_is_not_in_the_mask(tmp_path, plugins, special):
    masked = chat(("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D"))
    masked["messages"][1]["weight"] = 0
    folder = prepared(tmp_path, plugins, [masked, chat(*TURNS)], tokenizer=special)
    assert [learnt for _, learnt in episodes_of(folder, special)] == [
        "Hello!</myPT_assistant><myPT_eot>",
        "D</myPT_assistant><myPT_eot>",
    ]


# What was prepared before there were more forms, with fields that say nothing.
BEFORE = [
    *(chat(("system", "Be kind."), ("user", f"Hi {n}"), ("assistant", "Hello!")) for n in range(9)),
    *({**chat(("user", f"{n}?"), ("assistant", "A"), ("user", "more")), "id": n} for n in range(9)),
    *({"messages": [{"role": "assistant", "content": f"{n}", "name": "x"}]} for n in range(9)),
    *({"prompt": f"{n}+1=", "completion": f"{n + 1}"} for n in range(9)),
    *({"text": f"number {n}", "meta": n} for n in range(9)),
]


def test_what_was_prepared_before_keeps_its_bytes(tmp_path, plugins):
    folder = prepared(tmp_path, plugins, BEFORE, tokenization="char", val_fraction=0.3)
    document = read_metadata(folder).document
    assert (document["train_episodes"], document["val_episodes"]) == (31, 14)
    assert document["data_sha256"] == (
        "e52c6a3f73d3a8c18cb4f4b5ba48737ab41761eeb7babca14152c76ad7daf3eb"
    )


def test_a_character_that_the_vocabulary_lacks_is_named_and_nothing_is_left(tmp_path, plugins):
    narrow = plugins.tokenizer("char").train("abc")
    with pytest.raises(DataError, match=r"chats\.jsonl line 2: the vocabulary of 3 .* lacks"):
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
