import io
import json
import math
import shutil
import sys

import pytest
import torch

import mypt


def test_the_prompt_is_continued(cli, bundle):
    code, out, _ = cli(
        "generate", "--model_name", bundle, "--prompt", "line 1", "--max_new_tokens", "20"
    )
    assert code == 0
    assert out.startswith("line 1")
    assert len(out.rstrip("\n")) >= len("line 1")


def test_the_same_seed_gives_the_same_text(cli, bundle):
    texts = {
        cli("generate", "--model_name", bundle, "--prompt", "the", "--seed", "7")[1]
        for _ in range(2)
    }
    assert len(texts) == 1


def test_an_empty_prompt_begins_a_new_text(cli, bundle):
    assert cli("generate", "--model_name", bundle, "--max_new_tokens", "5")[0] == 0


def test_a_character_that_the_vocabulary_lacks_is_refused(refused, bundle):
    line = refused("generate", "--model_name", bundle, "--prompt", "the caté")
    assert "é" in line


def test_a_prompt_that_is_no_text_is_refused(refused, bundle):
    line = refused("generate", "--model_name", bundle, "--prompt", "caf\udce9", code=2)
    assert "'--prompt': is not UTF-8" in line


@pytest.mark.parametrize(
    ("flag", "value"), [("--top_p", "1.5"), ("--temperature", "-1"), ("--top_k", "0")]
)
def test_an_option_out_of_range_is_refused(refused, bundle, flag, value):
    line = refused("generate", "--model_name", bundle, "--prompt", "the", flag, value)
    assert line.startswith(f"error: {flag}: is ")


@pytest.mark.parametrize("flag", ["--temperature", "--repetition_penalty"])
def test_an_option_that_is_not_finite_is_told_so(refused, bundle, flag):
    line = refused("generate", "--model_name", bundle, flag, "inf")
    assert line.startswith(f"error: {flag}: is inf; make it a finite number ")


def test_an_unknown_stop_token_and_a_stride_name_their_flags(refused, bundle, in_tmp):
    line = refused("generate", "--model_name", bundle, "--stop_token", "5000")
    assert line.startswith("error: --stop_token: is 5000; ")
    (in_tmp / "a.txt").write_text("the cat")
    line = refused("generate", "--model_name", bundle, "--score", "a.txt", "--stride", "99")
    assert line.startswith("error: --stride: is 99; ")


def test_a_damaged_bundle_is_refused(refused, bundle, tmp_path):
    import shutil

    copy = tmp_path / "cat"
    shutil.copytree(bundle, copy)
    data = bytearray((copy / "model.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "model.pt").write_bytes(data)
    assert "model.pt" in refused("generate", "--model_name", copy, "--prompt", "the")


@pytest.mark.parametrize("name", ["model.pt", "config.json"])
def test_who_names_a_file_of_a_bundle_is_told_its_folder(refused, bundle, name):
    line = refused("generate", "--model_name", bundle / name)
    assert line.endswith(f"{name}: is one file of a checkpoint; name the folder: {bundle}\n")


@pytest.fixture
def stdin(monkeypatch):
    """Give the commands a text to read."""

    def give(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return give


def lines_of(cli, *arguments):
    code, out, err = cli("generate", *arguments, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_several_prompts_give_several_texts(cli, bundle):
    few = ("--max_new_tokens", "5", "--seed", "1")
    prompts = ("the", "cat", "")
    one_by_one = [cli("generate", "--model_name", bundle, "--prompt", p, *few)[1] for p in prompts]
    named = [word for prompt in prompts for word in ("--prompt", prompt)]
    assert cli("generate", "--model_name", bundle, *named, *few)[1] == "---\n".join(one_by_one)


def test_prompts_come_from_files_and_from_stdin(cli, bundle, tmp_path, stdin):
    (tmp_path / "one.txt").write_text("the\ncat\n")
    (tmp_path / "many.txt").write_bytes(b"sat\r\n\nmat")
    few = ("--model_name", bundle, "--max_new_tokens", "3", "--prompt", "line")
    files = ("--prompt_file", tmp_path / "one.txt", "--prompt_lines", tmp_path / "many.txt")
    found = lines_of(cli, *few, *files)
    assert [one["prompt"] for one in found] == ["line", "the\ncat", "sat", "", "mat"]
    stdin("on the\n")
    assert [one["prompt"] for one in lines_of(cli, *few, "--prompt_file", "-")] == [
        "line",
        "on the",
    ]
    stdin("on\nthe\n")
    assert [one["prompt"] for one in lines_of(cli, *few, "--prompt_lines", "-")][1:] == [
        "on",
        "the",
    ]


@pytest.mark.parametrize(
    "flags",
    [
        ("--prompt_file", "-", "--prompt_lines", "-"),
        ("--prompt_file", "-", "--prompt_file", "-"),
        ("--score", "-", "--score", "-"),
    ],
)
def test_stdin_is_not_read_twice(refused, bundle, flags):
    line = refused("generate", "--model_name", bundle, *flags, code=2)
    assert "give - for one file only" in line


def test_a_file_without_prompts_is_refused(refused, bundle, tmp_path, stdin):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    line = refused("generate", "--model_name", bundle, "--prompt_file", tmp_path / "latin.txt")
    assert "is not UTF-8" in line
    assert "no such file" in refused("generate", "--model_name", bundle, "--prompt_file", "nil")
    stdin("")
    line = refused("generate", "--model_name", bundle, "--prompt_lines", "-")
    assert "stdin: is empty" in line


@pytest.mark.parametrize("flag", ["--prompt_lines", "--prompt_file", "--score"])
def test_a_character_that_the_vocabulary_lacks_is_placed_in_its_file(
    refused, bundle, in_tmp, stdin, flag
):
    (in_tmp / "lines.txt").write_text("the\ncé\n")
    line = refused("generate", "--model_name", bundle, flag, "lines.txt")
    assert line.startswith("error: lines.txt line 2, column 2: ")
    stdin("the\ncé\n")
    line = refused("generate", "--model_name", bundle, flag, "-")
    assert line.startswith("error: stdin line 2, column 2: ")


def test_every_prompt_that_cannot_be_encoded_is_named(cli, bundle, in_tmp):
    (in_tmp / "lines.txt").write_text("é\nthe\ncé\n")
    named = ("--prompt", "the é", "--prompt_lines", "lines.txt")
    code, out, err = cli("generate", "--model_name", bundle, *named)
    places = [line.split(": ")[1] for line in err.splitlines()]
    assert (code, out) == (1, "")
    assert places == [
        "--prompt line 1, column 5",
        "lines.txt line 1, column 1",
        "lines.txt line 3, column 2",
    ]


def test_a_text_too_short_to_score_is_named(refused, bundle, in_tmp):
    (in_tmp / "short.txt").write_text("t")
    line = refused("generate", "--model_name", bundle, "--score", "short.txt")
    assert line.startswith("error: short.txt: has 1 token; ")


def test_what_is_scored_from_stdin_is_called_so(cli, bundle, stdin):
    stdin("the cat")
    (score,) = lines_of(cli, "--model_name", bundle, "--score", "-")
    assert score["file"] == "stdin"
    stdin("the cat")
    assert cli("generate", "--model_name", bundle, "--score", "-")[1].startswith("stdin: ")
    stdin("th")
    out = cli("generate", "--model_name", bundle, "--score", "-")[1]
    assert out.startswith("stdin: 1 predicted token, in windows of 16 tokens")


def test_json_lines_say_all_there_is(cli, bundle):
    (found,) = lines_of(
        cli,
        *("--model_name", bundle, "--prompt", "the", "--max_new_tokens", "4", "--seed", "9"),
        *("--probabilities", "--logits"),
    )
    assert found["seed"] == 9
    assert found["prompt"] == "the"
    assert found["text"] == "".join(found["tokens"])
    assert found["stopped_by"] is None
    for token, probability, logits in zip(
        found["ids"], found["probabilities"], found["logits"], strict=True
    ):
        shares = [math.exp(value) for value in logits]
        assert probability == pytest.approx(shares[token] / sum(shares), rel=1e-4)


def test_stops_end_the_text(cli, bundle):
    plain = ("--model_name", bundle, "--prompt", "the", "--temperature", "0")
    (free,) = lines_of(cli, *plain)
    stop = free["text"][10:12]
    (one,) = lines_of(cli, *plain, "--stop", stop)
    assert one["text"] == free["text"].split(stop)[0]
    assert one["stopped_by"] == stop
    (one,) = lines_of(cli, *plain, "--stop_token", free["ids"][3])
    assert one["ids"] == free["ids"][: free["ids"].index(free["ids"][3])]
    assert cli("generate", *plain, "--stop", stop)[1] == "the" + free["text"].split(stop)[0] + "\n"


def test_a_text_is_scored(cli, bundle, tmp_path, text):
    (tmp_path / "text.txt").write_text(text[:500])
    named = ("--model_name", bundle, "--score", tmp_path / "text.txt", "--stride", "4")
    (score,) = lines_of(cli, *named, "--probabilities")
    assert score["perplexity"] == pytest.approx(math.exp(score["loss"]))
    assert (score["predicted_tokens"], score["block_size"], score["stride"]) == (499, 16, 4)
    assert "".join(score["tokens"]) == text[:500]
    logs = [math.log(p) for p in score["probabilities"][1:]]
    assert -sum(logs) / 499 == pytest.approx(score["loss"])
    code, out, _ = cli("generate", *named)
    assert code == 0
    assert f"{score['loss']:.4f}" in out
    assert "stride 4" in out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--stride", "4"), "--stride needs --score"),
        (("--logits",), "--logits needs --json"),
        (("--probabilities", "--logits"), "--probabilities needs --json or --score_lines"),
        (("--score", "a", "--prompt", "b"), "--prompt cannot be used with --score"),
        (("--score", "a", "--samples", "1"), "--samples cannot be used with --score"),
        (
            ("--score", "a", "--top_k", "1", "--seed", "1", "--interactive"),
            "--top_k, --seed and --interactive cannot be used with --score",
        ),
        (("--interactive", "--prompt", "a"), "--prompt cannot be used with --interactive"),
        (("--interactive", "--json"), "--json cannot be used with --interactive"),
    ],
)
def test_a_flag_without_effect_is_refused(refused, bundle, flags, said):
    line = refused("generate", "--model_name", bundle, *flags, code=2)
    assert line.startswith(f"error: {said}; see: ")


@pytest.mark.parametrize("command", ["generate", "inspect"])
def test_what_a_bundle_does_not_ask_for_is_refused(refused, bundle, command):
    line = refused(command, "--model_name", bundle, "--option", "lora_alpha=32", code=2)
    assert line.startswith(
        "error: --option lora_alpha: only applies to checkpoints of other programs"
    )


def test_a_conversation_changes_its_settings(cli, bundle, stdin):
    stdin(
        "the cat\n/temperature 0\n/max_new_tokens 5\nthe cat\n/more\n/again\n"
        '/top_k 3\n/top_k off\n/stop "\\n"\n/stop off\n'
        "/seed 3\n/settings\nthe \\\nmat\n//\n/quit\n/settings"
    )
    begin = ("generate", "--model_name", bundle, "--interactive", "--temperature", "0")
    begin += ("--max_new_tokens", "9")
    code, out, err = cli(*begin)
    assert code == 0, err
    first, _, _, five, *rest = out.splitlines()
    assert len(first) == len("the cat") + 9
    assert out.count(five) == 4  # in the first text too
    assert rest[0].startswith(five)
    assert 'stop: ["\\n"]' in rest
    for line in ("top_k: 3", "top_k: off", "stop: off", "temperature: 0.0", "seed: 3"):
        assert line in rest
    assert "the \nmat" in out
    assert out.count("top_p: ") == 1  # nothing is read after /quit
    assert err.count("error: ") == err.count("\n") == 1  # no / in the vocabulary


def test_a_conversation_survives_what_it_cannot_do(cli, bundle, stdin):
    stdin("/tempratur 1\n/temperature x\n/top_p 7\n/stop_token\nthe caté\n/help\nthe\n")
    code, out, err = cli("generate", "--model_name", bundle, "--interactive")
    assert code == 0
    assert "did you mean `/temperature`" in err
    assert "is `x`; make it a number" in err
    assert "top_p: is 7.0" in err
    assert "/stop_token" in err
    assert "é" in err
    assert "\nthe" in out.partition("Write // to begin a prompt")[2]


def test_8_bit_weights_show_what_they_cost(cli, bundle, tmp_path, text):
    (tmp_path / "text.txt").write_text(text[:500])
    named = ("--model_name", bundle, "--score", tmp_path / "text.txt")
    (plain,) = lines_of(cli, *named)
    (rounded,) = lines_of(cli, *named, "--int8")
    assert rounded["float_loss"] == plain["loss"]
    assert 0 < abs(rounded["loss"] - plain["loss"]) < 0.02
    assert " by 8-bit weights" in cli("generate", *named, "--int8")[1]
    code, out, _ = cli("generate", "--model_name", bundle, "--prompt", "the", "--int8")
    assert code == 0
    assert out.startswith("the")


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_weights_of_16_bits_show_what_they_cost(cli, bundle, tmp_path, text, dtype):
    (tmp_path / "text.txt").write_text(text[:500])
    named = ("--model_name", bundle, "--score", tmp_path / "text.txt")
    (plain,) = lines_of(cli, *named)
    (rounded,) = lines_of(cli, *named, "--dtype", dtype)
    assert rounded["float_loss"] == plain["loss"]
    assert 0 < abs(rounded["loss"] - plain["loss"]) < 0.02
    assert f" by {dtype}" in cli("generate", *named, "--dtype", dtype)[1]
    code, out, _ = cli("generate", "--model_name", bundle, "--prompt", "the", "--dtype", dtype)
    assert code == 0
    assert out.startswith("the")


def test_a_processor_without_bf16_is_told_that_it_may_be_slower(cli, bundle, monkeypatch):
    named = ("--model_name", bundle, "--prompt", "the", "--max_new_tokens", 2, "--dtype", "bf16")
    for has in (True, False):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda has=has: {"avx512_bf16": has}, raising=False
        )
        code, _, err = cli("generate", *named)
        assert code == 0
        assert ("no instructions for bf16" in err) == (not has)


def test_weights_are_rounded_in_one_way(cli, bundle):
    code, _, err = cli("generate", "--model_name", bundle, "--int8", "--dtype", "bf16")
    assert code == 2
    assert "--dtype cannot be used with --int8" in err


def test_a_conversation_goes_on_within_a_character(cli, in_tmp, stdin, plugins):
    tokenizer = plugins.tokenizer("gpt2").train("")
    cat = tokenizer.encode("\U0001f408")
    config = mypt.GPTConfig(
        n_layer=1, n_head=1, n_embd=len(cat), block_size=32, head_bias=True, vocab_size=50257
    )
    model = mypt.GPT(config, tokenizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.ln_f.weight.fill_(9.0)
        model.lm_head.bias[cat[0]] = 5.0  # what it says first
        for place, number in enumerate(cat):  # and then: after each token of the cat, the next one
            model.token_embedding_table.weight[number, place] = 1.0
            model.lm_head.weight[cat[(place + 1) % len(cat)], place] = 9.0
    model.save("cats")
    stdin("a\n" + "/more\n" * len(cat))
    begin = ("generate", "--model_name", "cats", "--interactive", "--temperature", "0")
    code, out, err = cli(*begin, "--max_new_tokens", "1")
    assert code == 0, err
    cut, whole = "a\ufffd", "a\U0001f408"
    assert out.splitlines() == [*[cut] * (len(cat) - 1), whole, f"{whole}\ufffd"]


def test_a_prompt_that_spells_special_tokens_is_told_what_that_means(cli, fixtures):
    words = ("generate", fixtures / "mypt" / "gpt2_special", "--max_new_tokens", 1)
    _, _, err = cli(*words, "--prompt", "<myPT_user>Who?")
    assert err.startswith("note: what spells a special token, such as <myPT_user>, is text here")
    assert cli(*words, "--prompt", "<myPT_user>Who?", "--read_special_tokens")[2] == ""
    assert cli(*words, "--prompt", "Who?")[2] == ""


def test_a_lost_tokenizer_is_told_and_so_once_that_texts_are_ids(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cat")
    (tmp_path / "cat" / "tokenizer.json").unlink()
    code, out, err = cli("generate", tmp_path / "cat", "--max_new_tokens", "2")
    assert code == 0
    assert out.replace(" ", "").strip().isdigit()
    lost, note = err.splitlines()
    assert "tokenizer.json: is missing; restore it" in lost
    assert note.startswith("note: the model has no tokenizer")
