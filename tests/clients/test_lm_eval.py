"""lm-eval's own model `hf` finds in an exported folder what mypt's own scoring finds."""

import json
import math

import pytest

import mypt
from tests.support.exported_models import BLOCK_SIZE, TEXT, Exported, export, make_model

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytest.importorskip("accelerate", reason="lm-eval's model `hf` needs accelerate")

from lm_eval.tasks import TaskManager  # noqa: E402

PREFIX = 0  # what precedes a text: `hf` has to be told where a tokenizer has neither BOS nor EOS
QUESTIONS = [
    {"question": "the cat sat on", "choices": ["the mat", "the red door", "twice"], "answer": 0},
    {"question": "the dog ran to the", "choices": ["cat", "red door"], "answer": 1},
]
# One fits into a window of the model, one does not.
TEXTS = [{"text": "the dog"}, {"text": TEXT * 3}]
TASKS = {
    "questions": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "target_delimiter": " ",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
    "texts": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [
            {"metric": name, "aggregation": "weighted_perplexity", "higher_is_better": False}
            for name in ("word_perplexity", "byte_perplexity")
        ],
    },
}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder with both tasks and their data."""
    folder = tmp_path_factory.mktemp("tasks")
    for (name, settings), lines in zip(TASKS.items(), (QUESTIONS, TEXTS), strict=True):
        data = folder / f"{name}.jsonl"
        data.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        source = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder)},
            "test_split": "test",
        }
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps(source | settings), encoding="utf-8")
    return TaskManager(include_path=str(folder), include_defaults=False)


@pytest.fixture(scope="module", params=[("char", "default"), ("bpe", "grouped_queries")])
def exported(request, tmp_path_factory):
    folder, plugins = tmp_path_factory.mktemp("exported"), mypt.load_plugins()
    make_model(*request.param, plugins).save(folder / "model")
    export(folder / "model", folder / "hf")
    return Exported(mypt.load(folder / "model", plugins=plugins), folder / "hf")


@pytest.fixture(scope="module")
def found(exported, tasks):
    """What lm-eval finds."""
    return lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(exported.folder), "prefix_token_id": PREFIX},
        tasks=list(TASKS),
        task_manager=tasks,
        device="cpu",
        batch_size=2,
        bootstrap_iters=0,
    )


def score_continuation(model, context, continuation):
    """Return the log-probability of what follows a context, in nats, by mypt's own scoring."""
    encode = model.need_tokenizer().encode
    ids = encode(context + continuation)
    return -math.fsum(model.score(ids).losses[len(encode(context)) - 1 :])


def test_choices_have_mypt_s_own_log_probabilities(exported, found):
    for sample, question in zip(found["samples"]["questions"], QUESTIONS, strict=True):
        theirs = [response[0][0] for response in sample["resps"]]
        ours = [
            score_continuation(exported.model, question["question"], f" {choice}")
            for choice in question["choices"]
        ]
        assert theirs == pytest.approx(ours, abs=1e-4)
        assert sample["acc"] == (ours.index(max(ours)) == question["answer"])


def test_whole_texts_have_mypt_s_own_loss(exported, found):
    ids = [exported.model.need_tokenizer().encode(line["text"]) for line in TEXTS]
    assert len(ids[0]) < BLOCK_SIZE < len(ids[1])
    scores = [exported.model.score([PREFIX, *own], stride=BLOCK_SIZE) for own in ids]
    ours = [-math.fsum(score.losses) for score in scores]
    theirs = [sample["resps"][0][0] for sample in found["samples"]["texts"]]
    assert theirs == pytest.approx(ours, abs=1e-3)
    size_bytes = sum(len(line["text"].encode()) for line in TEXTS)
    per_byte = math.exp(-math.fsum(ours) / size_bytes)
    assert found["results"]["texts"]["byte_perplexity,none"] == pytest.approx(per_byte, rel=1e-5)
