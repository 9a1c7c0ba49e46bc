import json
import shutil

import pytest


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
