import json
import shutil

import pytest

from tests.support.chats import chat


@pytest.fixture
def texts(in_tmp, text):
    (in_tmp / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (in_tmp / "texts" / name).write_text(text)
    return "texts"


def test_a_folder_of_texts_is_prepared_and_trained_on(cli, texts):
    prepare = ("data", "prepare", texts, "--output", "out", "--tokenization", "char")
    code, out, _ = cli(*prepare, "--workers", "1")
    assert code == 0
    assert out.startswith("out: tokens, uint16, char\n  train: ")
    code, out, _ = cli(*prepare)
    assert (code, out.splitlines()[0]) == (0, "out is already complete")
    train = ("train", "--model_name", "cat", "--dataset_dir", "out", "--max_iters", "2")
    small = ("--n_layer", "1", "--n_embd", "16", "--n_head", "2", "--block_size", "8")
    code, out, err = cli(*train, *small, "--eval_iters", "1", "--device", "cpu")
    assert code == 0, err


def test_parts_are_joined_and_trained_on_to_the_weights_of_the_whole(cli, in_tmp, texts):
    prepare = ("data", "prepare", texts, "--tokenization", "char", "--workers", "1", "--output")
    assert cli(*prepare, "whole")[0] == 0
    for number in (1, 2):
        code, out, err = cli(*prepare, f"part{number}", "--part", f"{number}/2")
        assert (code, out.splitlines()[-1][: len("part1: part 1/2, ")]) == (
            0,
            f"part{number}: part {number}/2, ",
        )
        assert err.startswith(f"part {number}/2: 18,627 of 37,254 bytes, by a list of 2 files")
    assert cli(*prepare, "part1", "--part", "1/2")[1].splitlines()[0] == "part1 is already complete"
    code, out, err = cli("data", "join", "part1", "part2", "--output", "joined")
    assert code == 0, err
    assert out.startswith("joined: tokens, uint16, char\n  train: ")
    train = ("train", "--max_iters", "2", "--n_layer", "1", "--n_embd", "16", "--n_head", "2")
    for name in ("whole", "joined"):
        how = ("--model_name", name, "--dataset_dir", name, "--block_size", "8", "--device", "cpu")
        assert cli(*train, *how, "--eval_iters", "1")[0] == 0
    one, other = (in_tmp / "checkpoints" / name / "model.pt" for name in ("whole", "joined"))
    assert one.read_bytes() == other.read_bytes()


def test_a_part_or_half_a_preparation_is_no_data_set(cli, refused, in_tmp, texts):
    prepare = ("data", "prepare", texts, "--tokenization", "char", "--dtype", "uint32", "--output")
    cli(*prepare, "part", "--part", "1/2", "--workers", "1")
    cli(*prepare, "half", "--workers", "1")
    (in_tmp / "half" / "dataset_metadata.json").rename(in_tmp / "half" / ".progress.json")
    said = {
        "part": "is a part of a data set (part.json), not a whole one; join all parts: mypt data ",
        "half": "is not prepared to its end (.progress.json); run the `mypt data prepare` that ",
    }
    for name, what in said.items():
        for command in (
            ("train", "--model_name", "cat", "--dataset_dir", name),
            ("train", "--model_name", "cat", "--input_file", texts, "--eval_dataset_dir", name),
            ("data", "inspect", name),
        ):
            assert refused(*command).startswith(f"error: {name}: {what}")


def test_the_tokenizer_of_a_data_set_or_of_a_part_is_taken(cli, refused, in_tmp, texts):
    prepare = ("data", "prepare", texts, "--workers", "1", "--output")
    cli(*prepare, "learnt", "--tokenization", "char")
    cli(*prepare, "part", "--tokenization", "char", "--part", "1/2")
    for name in ("learnt", "part"):
        code, _, err = cli(*prepare, f"from_{name}", "--tokenizer_from", name)
        assert code == 0, err
        one, other = (in_tmp / n / "tokenizer_state.json" for n in (name, f"from_{name}"))
        assert one.read_bytes() == other.read_bytes()
    assert "there is no such folder" in refused(*prepare, "x", "--tokenizer_from", "nowhere")
    for flag in ("--tokenization", "--from_model", "--config_file"):
        words = (*prepare, "x", "--tokenizer_from", "learnt", flag, "char")
        assert "cannot be used with" in refused(*words, code=2)


@pytest.mark.parametrize(
    "wrong",
    ["0/2", "3/2", "1", "a/b", "1/", "-1/2", "1/2/3", pytest.param("1/" + "1" * 6000, id="long")],
)
def test_what_is_no_part_is_wrong_usage(refused, texts, wrong):
    line = refused("data", "prepare", texts, "--output", "x", f"--part={wrong}", code=2)
    assert f"`{wrong}` is no part of a number of parts; write it as 3/8" in line


def test_chats_are_prepared_with_the_tokenizer_of_a_model(cli, in_tmp, bundle):
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    lines = [{"prompt": "the cat", "completion": f" sat {n}"} for n in range(20)]
    (in_tmp / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    options = ("--output", "sft", "--from_model", "cat")
    code, out, err = cli("data", "chats", "chats.jsonl", *options)
    assert code == 0, err
    assert out.splitlines()[0] == "sft: episodes, uint32, char"
    assert "18 episodes" in out
    state = json.loads((in_tmp / "sft" / "tokenizer_state.json").read_text())
    theirs = json.loads((bundle / "tokenizer.json").read_text())
    assert state["chars"] == theirs["chars"]


def test_inspect_tells_what_is_there_and_what_is_wrong(cli, in_tmp, texts):
    cli("data", "prepare", texts, "--output", "out", "--workers", "1")
    assert cli("data", "inspect", "out", "--checksums")[0] == 0
    shard = in_tmp / "out" / "train" / "shard_00000.bin"
    data = shard.read_bytes()
    shard.write_bytes(data[::-1])
    code, out, _ = cli("data", "inspect", "out")
    assert code == 0
    assert "note: out/train/shard_00000.bin: has a different modification time" in out
    code, out, _ = cli("data", "inspect", "out", "--checksums", "--json")
    assert code == 1
    [problem] = json.loads(out)["problems"]
    assert "a different SHA-256" in problem["what"]
    shard.write_bytes(data[:-2])
    assert "error: out/train/shard_00000.bin: has" in cli("data", "inspect", "out")[1]
    shard.unlink()
    code, _, err = cli("data", "inspect", "out")
    assert code == 1
    assert "holds no token shards" in err


@pytest.mark.parametrize("lost_bytes", [1, 2])
def test_a_shard_that_lost_its_end_is_not_complete(cli, refused, in_tmp, texts, lost_bytes):
    prepare = ("data", "prepare", texts, "--output", "out", "--workers", "1")
    cli(*prepare)
    shard = in_tmp / "out" / "train" / "shard_00000.bin"
    data = shard.read_bytes()
    shard.write_bytes(data[:-lost_bytes])
    line = refused(*prepare)
    assert line.startswith(f"error: out/train/shard_00000.bin: has {len(data) - lost_bytes} bytes")
    assert "prepare the data again, into a new folder" in line
    shutil.rmtree("out")
    assert cli(*prepare)[0] == 0
    assert shard.read_bytes() == data


def test_training_on_a_set_for_evaluation_says_so(cli, refused, texts):
    cli("data", "prepare", texts, "--output", "out", "--workers", "1", "--val_fraction", "1")
    line = refused("train", "--model_name", "cat", "--dataset_dir", "out")
    assert line.startswith("error: out: is a data set for evaluation only: it has no train/; ")


@pytest.mark.parametrize("name", ["dante_char", "chat_gpt2"])
def test_data_sets_of_the_earlier_program_are_inspected(cli, fixtures, name):
    folder = fixtures / "mypt" / "datasets" / name
    code, out, _ = cli("data", "inspect", folder, "--json")
    assert code == 0
    about = json.loads(out)
    expected = json.loads((folder / "dataset_metadata.json").read_text())
    assert sum(about["tokens"].values()) == expected["total_tokens"]
    assert about["tokenizer"]["token_kind"] == expected["tokenization"]


def test_mistakes_are_one_line(refused, in_tmp, texts):
    assert "no such file" in refused("data", "prepare", "nowhere", "--output", "out")
    assert "no such folder" in refused("data", "inspect", "nowhere")
    assert "there is no checkpoint" in refused(
        "data", "prepare", texts, "--output", "out", "--from_model", "nobody", code=2
    )
    assert "val_fraction" in refused(
        "data", "prepare", texts, "--output", "out", "--val-fraction", "2", code=2
    )


@pytest.fixture
def talks(in_tmp):
    """A file of conversations, of which one is long, one has half a weight, and one is raw."""
    said = [("user", "What?\x1b[31m"), ("assistant", "[That].")]
    lines = [chat(*said, id=n) for n in range(8)]
    lines[0]["messages"][1]["weight"] = 0.5
    lines += [chat(*said, *said), {"prompt": "<|endoftext|>", "completion": "b"}]
    (in_tmp / "talks.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "talks.jsonl"


def test_preparing_counts_turns_tokens_and_what_does_not_fit(cli, talks):
    code, out, err = cli("data", "chats", talks, "--output", "sft", "--block_size", "31")
    assert code == 0, err
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "sft: episodes, uint32, gpt2"
    assert lines[3].startswith("turns: 9 of assistant (")
    assert ", 1 of completion (1 token), 1 of prompt (" in lines[3]
    assert lines[4].startswith("learnt: 38 of 153 tokens")
    assert lines[5].startswith("tokens of a conversation: 50 % up to ")
    assert lines[6] == "to fit block_size 31: 2 turns of 1 conversation left out"


def test_what_a_template_needs_and_a_vocabulary_lacks_is_said_once(refused, in_tmp, bundle):
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    lines = [chat(("user", "cat"), ("assistant", f"sat {n}")) for n in range(9)]
    (in_tmp / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    error = refused("data", "chats", "chats.jsonl", "--output", "sft", "--from_model", "cat")
    assert error.startswith("error: tokenizer.json#/chat_template: writes 'U' ")
    assert error.count("\n") <= 1
    assert not (in_tmp / "sft").exists()


def test_the_block_size_of_a_model_is_the_default(cli, in_tmp, bundle):
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    lines = [{"prompt": f"the cat {n}", "completion": "sat"} for n in range(3)]
    lines.append({"prompt": "the", "completion": "cat sat on the mat"})
    (in_tmp / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    made = (
        "data",
        "chats",
        "chats.jsonl",
        "--from_model",
        "cat",
        "--val_fraction",
        "0.5",
        "--output",
    )
    code, out, _ = cli(*made, "sft")
    assert code == 0
    assert "to fit block_size 16: 1 conversation left out, as no answer" in out
    assert cli(*made, "whole", "--block_size", "64")[0] == 0
    assert "longer" not in cli("data", "inspect", "whole")[1]
    counted = cli("data", "inspect", "whole", "--from_model", "cat")[1]
    assert "1 conversation of 4 longer than block_size + 1 = 17 tokens: training keeps" in counted


def test_a_preview_marks_what_is_learnt_and_hides_nothing(cli, talks):
    cli("data", "chats", talks, "--output", "sft", "--val_fraction", "0.01")
    code, out, _ = cli("data", "inspect", "sft", "--show", "50")
    assert code == 0
    assert "    User: What?\\u001b[31m<|endoftext|>\n    Assistant:[[ [That].<|endo" in out
    assert "    Assistant:[[0.5:  [That].<|endoftext|>]]\n" in out
    assert "    \\<|endoftext|>[[b<|endoftext|>]]\n" in out
    shown = json.loads(cli("data", "inspect", "sft", "--show", "1", "--json")[1])["shown"]
    assert [one["split"] for one in shown] == ["train"]
    assert {"text": "<|endoftext|>", "weight": 0.5, "is_special": True} in shown[0]["stretches"]


def test_a_preview_on_a_terminal_is_coloured(cli, talks, monkeypatch):
    from mypt.cli.commands import data_report

    cli("data", "chats", talks, "--output", "sft")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(data_report, "is_terminal", lambda: True)
    out = cli("data", "inspect", "sft", "--show", "9")[1]
    assert "Assistant:\x1b[32m [That].\x1b[0m\x1b[2;32m<|endoftext|>" in out
    assert "\\u001b[31m" in out
    assert "[[" not in out


def test_conversations_are_shown_by_the_tokenizer_of_a_model_where_they_have_none(
    cli, refused, in_tmp, bundle
):
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    (in_tmp / "chats.jsonl").write_text('{"text": "the cat"}\n{"text": "the mat"}')
    made = ("data", "chats", "chats.jsonl", "--output", "sft", "--tokenization", "char")
    assert cli(*made)[0] == 0
    for name in ("tokenizer.json", "tokenizer_state.json"):
        (in_tmp / "sft" / name).unlink()
    assert "does not say what its ids mean" in refused("data", "inspect", "sft", "--show", "1")
    shown = cli("data", "inspect", "sft", "--show", "1", "--from_model", "cat")
    assert shown[0] == 0
    assert "train 1: 8 tokens" in shown[1]


def test_a_chat_template_that_is_nowhere_is_refused(refused, talks):
    line = refused("data", "chats", talks, "--output", "sft", "--chat_template", "chatm1")
    assert "chat_template: is 'chatm1', which is neither a file with a template nor" in line
