"""Data sets of nanoGPT and llm.c, trained on where they lie."""

import json
import pickle

import numpy as np
import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.dataset import list_data_files, read_shards, read_tokenizer_state
from mypt.format.documents.config import GPTConfig
from tests.support.token_files import refusal, write_llm_c

CONFIG = GPTConfig(batch_size=4, block_size=8, vocab_size=50304)


def write_nano_gpt(folder, text, *, with_meta=True, meta=None):
    """Write a data set as nanoGPT's `data/shakespeare_char/prepare.py` does."""
    folder.mkdir(parents=True)
    chars = sorted(set(text))
    stoi = {char: number for number, char in enumerate(chars)}
    ids = np.array([stoi[char] for char in text], np.uint16)
    cut = len(ids) * 9 // 10
    ids[:cut].tofile(folder / "train.bin")
    ids[cut:].tofile(folder / "val.bin")
    if with_meta:
        fields = {"vocab_size": len(chars), "itos": dict(enumerate(chars)), "stoi": stoi}
        (folder / "meta.pkl").write_bytes(pickle.dumps(fields if meta is None else meta))
    (folder / "input.txt").write_text(text)
    return folder


def test_characters_of_nano_gpt_train_a_model(train, in_tmp, text, saved):
    """The same model as mypt's own data set of the same split."""
    folder = write_nano_gpt(in_tmp / "shakespeare_char", text)
    state = train("theirs", dataset_dir=str(folder), eval_sets={"again": str(folder)})
    ids = np.concatenate([np.fromfile(folder / f"{s}.bin", "<u2") for s in ("train", "val")])
    state_file = {"token_kind": "char", "chars": sorted(set(text))}
    own = in_tmp / "own"
    for split, part in (("train", ids[: len(ids) * 9 // 10]), ("val", ids[len(ids) * 9 // 10 :])):
        (own / split).mkdir(parents=True)
        part.astype("<u4").tofile(own / split / "shard_00000.bin")
    (own / "tokenizer_state.json").write_text(json.dumps(state_file))
    other = train("ours", dataset_dir=str(own))
    assert state.data.sha256 == other.data.sha256
    assert all((saved("theirs")[name] == tensor).all() for name, tensor in saved("ours").items())


def test_a_resume_checks_the_characters(train, in_tmp, text):
    first = write_nano_gpt(in_tmp / "one", text)
    second = write_nano_gpt(in_tmp / "two", text.replace("t", "T"))
    train(dataset_dir=str(first), max_iters=6)
    problem = refusal(train, dataset_dir=str(second))
    assert problem.file == str(second / "meta.pkl")
    assert "differs from the model's" in problem.what
    assert train(dataset_dir=str(first)).step == 12


@pytest.mark.parametrize(
    "names", [("train", "val"), ("tiny_train", "tiny_val"), ("x_train_1", "x_val_0")]
)
@pytest.mark.parametrize("has_header", [True, False])
def test_tokens_of_gpt_2_are_read_by_the_names_of_their_files(names, has_header, tmp_path, plugins):
    gpt2 = plugins.tokenizer("gpt2").train("")
    texts = {
        "train": "the words to train on, some of them " * 9,
        "val": "the words to validate on " * 9,
    }
    for name, split in zip(names, texts, strict=True):
        ids = gpt2.encode_array(texts[split])
        if has_header:
            write_llm_c(tmp_path / f"{name}.bin", ids)
        else:
            ids.astype("<u2").tofile(tmp_path / f"{name}.bin")
    (tmp_path / "other.bin").write_bytes(b"not tokens")
    assert read_tokenizer_state(tmp_path) == {"token_kind": "gpt2"}
    assert list_data_files(tmp_path) == {"train": [f"{names[0]}.bin"], "val": [f"{names[1]}.bin"]}
    loader = GPTDataLoader(CONFIG, gpt2, dataset_dir=tmp_path)
    for split, text in texts.items():
        assert gpt2.decode(loader.splits[split].shards[0].tolist()) == text
        assert not loader.splits[split].shards[0].flags.writeable


def test_many_files_come_in_the_order_of_their_names(tmp_path):
    for number in (2, 0, 1):
        write_llm_c(tmp_path / f"fineweb_train_{number:06d}.bin", [number] * 9)
    write_llm_c(tmp_path / "fineweb_val_000000.bin", [7] * 9)
    assert [shard[0] for shard in read_shards(tmp_path)["train"]] == [0, 1, 2]
    assert [shard[0] for shard in read_shards(tmp_path, eval_only=True)["val"]] == [7]


def test_an_evaluation_set_takes_the_validation_tokens_alone(tmp_path, text, plugins):
    folder = write_nano_gpt(tmp_path / "chars", text)
    tokenizer = plugins.tokenizer("char").train(text)
    loader = GPTDataLoader(CONFIG, tokenizer, dataset_dir=folder, eval_only=True)
    assert loader.val_tokens == (folder / "val.bin").stat().st_size // 2


def test_a_missing_split_is_named(tmp_path, text):
    folder = write_nano_gpt(tmp_path / "chars", text)
    (folder / "val.bin").unlink()
    problem = refusal(read_shards, folder)
    assert problem.what == "has no val.bin beside train.bin"
    assert problem.fix == "name a folder that has train and val"


def test_characters_without_their_table_are_not_taken_for_gpt_2(train, in_tmp, text):
    folder = write_nano_gpt(in_tmp / "chars", text, with_meta=False)
    problem = refusal(train, dataset_dir=str(folder))
    assert "these are not tokens of GPT-2, but perhaps characters" in problem.what
    assert "meta.pkl" in problem.fix


class Unsafe:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("meta", [{"vocab_size": 65}, {"itos": {0: "ab"}}, {"itos": {1: "a"}}])
def test_a_table_without_a_character_for_each_id_is_refused(meta, tmp_path, text):
    folder = write_nano_gpt(tmp_path / "chars", text, meta=meta)
    problem = refusal(read_tokenizer_state, folder)
    assert problem.file == str(folder / "meta.pkl")
    assert "has no table of characters" in problem.what


def test_a_table_that_would_run_code_is_refused_unrun(tmp_path, text, capsys):
    folder = write_nano_gpt(tmp_path / "chars", text, meta={"itos": Unsafe()})
    assert refusal(read_tokenizer_state, folder).file == str(folder / "meta.pkl")
    assert capsys.readouterr().out == ""


def test_tokens_of_llama_3_need_a_model_that_has_the_tokenizer(tmp_path):
    write_llm_c(tmp_path / "tiny_train.bin", [100_000] * 99, "<u4")
    write_llm_c(tmp_path / "tiny_val.bin", [100_000] * 99, "<u4")
    assert "tokenizer of Llama 3" in refusal(read_tokenizer_state, tmp_path).what


def test_ids_beyond_the_vocabulary_are_refused(tmp_path, text, plugins):
    folder = write_nano_gpt(tmp_path / "chars", text, with_meta=False)
    tokenizer = plugins.tokenizer("char").train("abc")
    problem = refusal(GPTDataLoader, GPTConfig(vocab_size=3), tokenizer, dataset_dir=folder)
    assert "but vocab_size is 3" in problem.what


def test_a_data_set_of_mypt_is_not_taken_for_another(tmp_path):
    """MyPT's evaluation sets may lie in the folder itself, as uint32."""
    np.arange(9, dtype="<u4").tofile(tmp_path / "val.bin")
    (tmp_path / "tokenizer_state.json").write_text('{"token_kind": "gpt2"}')
    assert read_shards(tmp_path, eval_only=True)["val"][0].tolist() == list(range(9))


def test_the_command_shows_what_is_there(cli, tmp_path, text):
    folder = write_nano_gpt(tmp_path / "chars", text)
    code, out, _ = cli("data", "inspect", folder)
    assert code == 0
    assert out.startswith(f"{folder}: tokens, uint16, char\n  train: ")


def test_ids_of_another_kind_are_refused_where_the_model_has_rows_for_them(tmp_path, text, plugins):
    folder = write_nano_gpt(tmp_path / "chars", text)
    for name in ("train.bin", "val.bin"):
        np.fromfile(folder / name, "<u2").astype(">u2").tofile(folder / name)
    tokenizer = plugins.tokenizer("char").train("".join(sorted(set(text))))
    problem = refusal(lambda: GPTDataLoader(CONFIG, tokenizer, dataset_dir=folder))
    assert problem.what == "has its ids in big-endian byte order"
