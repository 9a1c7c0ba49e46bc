"""lm-eval on bundles, beside its own model `hf` on the folders exported from them."""

import json
import os
import subprocess
import sys

import pytest
import torch

import mypt
from mypt.cli.main import mypt_group, run

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update(OFFLINE)  # read when the packages are imported

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytest.importorskip("accelerate", reason="lm-eval's own model `hf` needs accelerate")

import mypt_lm_eval  # noqa: E402, F401 -- registers the model
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.api.registry import get_model  # noqa: E402
from mypt_lm_eval.__main__ import main  # noqa: E402

TEXT = "the cat sat on the mat. the dog ran to the red door, twice!\n"
BLOCK_SIZE = 24
LLAMA_LIKE = {
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "n_kv_head": 2,
    "bias": False,
    "mlp_bias": False,
}
CASES = {"char": {}, "bpe": LLAMA_LIKE, "gpt2": LLAMA_LIKE}


def train_tokenizer(kind, plugins):
    factory = plugins.tokenizer(kind)
    return factory.trained_on([TEXT * 9], {"vocab_size": 280} if kind == "bpe" else None)


@pytest.fixture(scope="module", params=CASES)
def sides(request, tmp_path_factory):
    """The same model in lm-eval: the bundle, and by `hf` the folder exported from it."""
    folder, plugins = tmp_path_factory.mktemp(request.param), mypt.load_plugins()
    tokenizer = train_tokenizer(request.param, plugins)
    shape = {"n_layer": 2, "n_embd": 32, "n_head": 4, "block_size": BLOCK_SIZE, "dropout": 0.0}
    config = mypt.GPTConfig(
        vocab_size=tokenizer.vocab_size, head_bias=False, **shape, **CASES[request.param]
    )
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3  # else all tokens are about as likely
    model.save(folder / "model")
    if request.param == "gpt2":
        begin_with_end_of_text(folder / "model" / "tokenizer.json")
    words = ["export", str(folder / "model"), "--to", "hf", "--output", str(folder / "hf")]
    assert run(mypt_group, "mypt", words) == 0
    options = {"batch_size": 3, "device": "cpu"}
    ours = get_model("mypt")(path=str(folder / "model"), max_gen_toks=8, **options)
    theirs = get_model("hf")(pretrained=str(folder / "hf"), **options)
    if theirs.eot_token_id is None:  # `hf` needs to be told what comes first
        theirs.custom_prefix_token_id = ours.prefix_token_id
    return ours, theirs


def begin_with_end_of_text(path):
    """Let `<|endoftext|>` be a token of texts, which begin with it."""
    document = json.loads(path.read_text(encoding="utf-8"))
    document |= {"special_token_encoder": {"<|endoftext|>": 50256}, "add_bos": True}
    path.write_text(json.dumps(document), encoding="utf-8")


def ask(kind, *arguments):
    return [Instance(kind, {}, one, number) for number, one in enumerate(arguments)]


def test_continuations_have_the_same_log_probabilities(sides):
    requests = ask(
        "loglikelihood",
        ("the cat sat on", " the mat"),
        ("the cat sat on", " a red door"),
        ("the dog ran ", "to"),  # a space at the end belongs to what follows
        ("", "the dog"),
        (TEXT * 3, " the cat"),  # longer than the model sees
    )
    mine, other = (side.loglikelihood(requests, disable_tqdm=True) for side in sides)
    assert [total for total, _ in mine] == pytest.approx([total for total, _ in other], abs=1e-4)
    assert [greedy for _, greedy in mine] == [greedy for _, greedy in other]


def test_the_likeliest_tokens_are_known_for_it(sides):
    ours, _ = sides
    (likely,) = ours.model.generate_many(["the cat"], 3, temperature=0)
    ids = list(likely.prompt_ids), list(likely.ids)
    for side in sides:
        ((_, is_likeliest),) = side._loglikelihood_tokens([(None, *ids)], disable_tqdm=True)
        assert is_likeliest
    ((_, is_likeliest),) = ours._loglikelihood_tokens([(None, ids[0], [1, *ids[1][1:]])])
    assert is_likeliest == (ids[1][0] == 1)


def test_whole_texts_have_the_same_log_probabilities(sides):
    requests = ask("loglikelihood_rolling", ("the dog",), (TEXT * 2,), ("the cat sat on the mat",))
    mine, other = (side.loglikelihood_rolling(requests, disable_tqdm=True) for side in sides)
    assert mine == pytest.approx(other, abs=1e-3)


def test_texts_are_continued_alike(sides):
    if sides[1].eot_token_id is None:
        pytest.skip("`hf` generates nothing with a tokenizer without EOS")
    full = {"until": [], "max_gen_toks": 8}
    requests = ask("generate_until", ("the cat", full), ("the dog ran to", full), (TEXT, full))
    mine, other = (side.generate_until(requests, disable_tqdm=True) for side in sides)
    assert mine == other
    stop = mine[0][3:5]
    requests = ask("generate_until", ("the cat", {"until": [stop], "max_gen_toks": 8}))
    assert [side.generate_until(requests, disable_tqdm=True) for side in sides] == [
        [mine[0].split(stop)[0]]
    ] * 2


def test_texts_end_before_a_stop_string_where_there_is_no_eos(sides):
    ours, _ = sides
    (text,) = ours.generate_until(ask("generate_until", ("the cat", {})), disable_tqdm=True)
    settings = {"until": text[2:4], "max_gen_toks": 8}
    (cut,) = ours.generate_until(ask("generate_until", ("the cat", settings)), disable_tqdm=True)
    assert cut == text.split(text[2:4])[0]


def test_a_setting_that_mypt_has_not_is_refused(sides):
    with pytest.raises(ValueError, match="mypt has no setting num_beams"):
        sides[0].generate_until(ask("generate_until", ("the", {"num_beams": 4})))


def test_a_batch_changes_nothing(sides):
    ours, _ = sides
    requests = ask("loglikelihood", *((TEXT[:end], " the mat") for end in (3, 7, 11, 20, 31)))
    several = ours.loglikelihood(requests, disable_tqdm=True)
    alone = [ours.loglikelihood([one], disable_tqdm=True)[0] for one in requests]
    assert [total for total, _ in several] == pytest.approx([total for total, _ in alone], abs=1e-4)


def test_a_continuation_longer_than_the_model_sees_is_refused(sides):
    with pytest.raises(ValueError, match=f"the model sees {BLOCK_SIZE}"):
        sides[0].loglikelihood(ask("loglikelihood", ("the", TEXT * 9)), disable_tqdm=True)


@pytest.fixture
def task(tmp_path):
    """A folder with a task of multiple choice, whose data are beside it."""
    questions = [
        {"question": "the cat sat on", "choices": ["the mat", "the red door"], "answer": 0},
        {"question": "the dog ran to the", "choices": ["cat", "red door"], "answer": 1},
    ]
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(f"{json.dumps(one)}\n" for one in questions), encoding="utf-8")
    settings = {
        "task": "questions",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc"}],
    }
    (tmp_path / "questions.yaml").write_text(json.dumps(settings), encoding="utf-8")
    return tmp_path


def run_lm_eval(folder, *arguments):
    environment = {**os.environ, **OFFLINE, "HF_HOME": str(folder / "home")}
    words = [sys.executable, "-m", "mypt_lm_eval", "--model", "mypt", *arguments]
    words += ["--tasks", "questions", "--include_path", str(folder), "--device", "cpu"]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, env=environment, cwd=folder
    )


@pytest.mark.slow  # the page on comparing models runs the same command
def test_the_command_evaluates_a_bundle(task):
    tokenizer = train_tokenizer("char", mypt.load_plugins())
    config = mypt.GPTConfig(
        vocab_size=tokenizer.vocab_size, n_layer=1, n_embd=8, n_head=1, block_size=BLOCK_SIZE
    )
    mypt.GPT(config, tokenizer).save(task / "checkpoints" / "dante")
    done = run_lm_eval(task, "--model_args", "path=dante", "--batch_size", "auto")
    assert done.returncode == 0, done.stderr
    assert "|questions|" in done.stdout
    assert "|acc" in done.stdout


def test_what_mypt_refuses_is_one_line(monkeypatch):
    def refuse():
        mypt.load("dante")

    monkeypatch.setattr("mypt_lm_eval.__main__.cli_evaluate", refuse)
    with pytest.raises(SystemExit, match=r"^Error: [^\n]*dante[^\n]*$"):
        main()
