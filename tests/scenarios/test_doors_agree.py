"""What `validate --checksums` calls valid opens everywhere, and what it calls invalid nowhere.

The exception is what only training needs: a damaged training state or optimizer state is an error
of validation and of a resume, and a warning for whoever generates, looks or exports.
"""

import io
import json
import logging
import pickle
from pathlib import Path

import pytest
import torch

import mypt
from mypt.api.export import export_model
from mypt.engine.config.precedence import TrainRequest
from mypt.engine.training.launch import run_training
from mypt.format.bundle.edits import EDITED, REFORMATTED
from mypt.format.discover import find_checkpoints
from mypt.format.errors import FormatError, MyptError
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.rules.cross_file import DIGEST
from mypt.format.rules.tensors import TIED
from mypt.format.validate import is_valid, validate
from mypt.plugins.manager import load_plugins
from tests.support.conformance import bundles
from tests.support.conformance.documents import CONFIG, OLD_CONFIG, STATE, TOKENIZER
from tests.support.conformance.ptfile import archive, members_of, values
from tests.support.paths import ROOT

PLUGINS = load_plugins()
READERS = tuple(PLUGINS.readers.values())
SUITE = ROOT / "tests" / "conformance"
INDEX = json.loads((SUITE / "index.json").read_text("utf-8"))
FOLDER = "a folder in its place"
# What only a look at the values of tensors shows, which `inspect` never takes.
CONTENT = {DIGEST, TIED, "archive.checksum"}


# The corpus: what a name stands for is made of bytes by file name, with FOLDER for a folder.

TEXT, PT = bundles.text, bundles.pt
GOOD = bundles.complete()
OLD = bundles.of_version_1(
    model_pt=PT(bundles.weights(CONFIG)), optimizer_pt=PT(bundles.by_index(bundles.adamw(CONFIG)))
) | {"training_state.json": TEXT({"step": 3, "optimizer_file": "optimizer.pt"})}
SIZES = {name: CONFIG[name] for name in ("block_size", "vocab_size", "n_embd", "n_head", "n_layer")}


def gpt2_names(tensors, prefix, *, transposed):
    """Give weights of mypt under the names of GPT-2."""
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in (
            ("token_embedding_table", "wte"),
            ("position_embedding_table", "wpe"),
            ("blocks.", "h."),
            (".ln1.", ".ln_1."),
            (".ln2.", ".ln_2."),
            ("sa.qkv", "attn.c_attn"),
            ("sa.proj", "attn.c_proj"),
            ("fwd.net.0", "mlp.c_fc"),
            ("fwd.net.2", "mlp.c_proj"),
        ):
            name = name.replace(old, new)
        if transposed and any(f"{layer}.weight" in name for layer in ("c_attn", "c_proj", "c_fc")):
            tensor = values(tensor.dtype, tensor.shape[::-1])
        renamed[name if name.startswith("lm_head") else prefix + name] = tensor
    return renamed


FOREIGN_CONFIG = CONFIG | {"tie_weights": True, "head_bias": False, "mlp_bias": False}
FOREIGN_CONFIG |= {"norm_bias": False, "bias": False}
NANO_MODEL = gpt2_names(bundles.weights(FOREIGN_CONFIG), "transformer.", transposed=False)
NANO = {
    "model": NANO_MODEL,
    "model_args": {**SIZES, "bias": False, "dropout": 0.0},
    "iter_num": 3,
    "config": {"learning_rate": 0.001, "batch_size": 2},
    "optimizer": bundles.by_index(bundles.adamw(FOREIGN_CONFIG, "matrices")),
}


def meta():
    return pickle.dumps({"itos": dict(enumerate("abcde")), "stoi": {}, "vocab_size": 5}, 2)


def nano(**changed):
    return {"ckpt.pt": PT({**NANO, **changed}), "meta.pkl": meta()}


def old_file(**changed):
    per_head = bundles.version_0()["latest.pt"]
    return {"latest.pt": PT({**per_head, **changed})}


def adamw_of(order, tensors, sizes=None):
    """Give an AdamW state for named tensors of a foreign file, in groups of these sizes."""
    sizes = [len(order)] if sizes is None else sizes
    numbers = iter(range(len(order)))
    groups = [
        {
            "params": [next(numbers) for _ in range(size)],
            "lr": 0.001,
            "betas": (0.9, 0.95),
            "eps": 1e-8,
            "weight_decay": 0.1,
        }
        for size in sizes
    ]
    state = {
        index: {
            "step": values("float32", ()),
            "exp_avg": values("float32", tensors[name].shape),
            "exp_avg_sq": values("float32", tensors[name].shape),
        }
        for index, name in enumerate(order)
    }
    return {"state": state, "param_groups": groups}


def records():
    """Archives with other records than torch writes."""
    members = members_of(bundles.weights(CONFIG))
    bare = {name: data for name, data in members.items() if name != "version"}
    yield "no version", archive(bare)
    for version in (b"", b"0", b"11", b"-3", b"x", b"9" * 30, b"3 \n"):
        yield f"version {version!r:.9}", archive({**members, "version": version})
    yield "version in .data", archive({**bare, ".data/version": b"3\n"})
    yield "another version in .data", archive({**members, ".data/version": b"77"})
    for alignment in (b"64", b"", b"x", b"0", b"-1"):
        yield f"alignment {alignment!r}", archive({**members, ".storage_alignment": alignment})
    yield "format version", archive({**members, ".format_version": b"zz"})
    yield "no byteorder", archive({n: d for n, d in members.items() if n != "byteorder"})
    for old, new in {
        b"\x89ccollections": b"Nccollections",
        b"\x89ccollections\n": b"\x88ccollections\n",
        b"X\x03\x00\x00\x00cpu": b"X\x04\x00\x00\x00cuda",
        b"}(X": b"]0}(X",
    }.items():
        changed = members_of(
            bundles.weights(CONFIG), pickle=lambda data, o=old, n=new: data.replace(o, n, 1)
        )
        yield f"pickle {new!r:.16}", archive(changed)
    metadata = b"X\x09\x00\x00\x00_metadata}sb."
    built = members_of(bundles.weights(CONFIG), pickle=lambda data: data[:-1] + b"}" + metadata)
    yield "attributes of a plain dict", archive(built)


def damages(data):
    """Ways to spoil any file."""
    yield "absent", None
    yield "folder", FOLDER
    yield "empty", b""
    yield "text", b"hello"
    yield "cut", data[: len(data) // 2]
    yield "more", data + b"\0"
    for place in (0, len(data) // 3, len(data) // 2, len(data) - 9):
        yield f"bit {place}", data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def json_damages():
    yield "list", b"[1]"
    yield "object", b"{}"
    yield "NaN", b'{"a": NaN}'
    yield "twice", b'{"a": 1, "a": 2}'
    yield "newer", b'{"format_version": "3.0"}'
    yield "deep", b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def damaged(base, files):
    for name, data in files.items():
        ways = {**dict(damages(data)), **(dict(json_damages()) if name.endswith("json") else {})}
        for way, content in ways.items():
            yield f"{base}: {name} {way}", files | {name: content}


def field_cases():
    configs = {
        "bias": (True, None, "x"),
        "n_layer": (0, 2, 10**9, 1.5),
        "n_head": (1, 3, 4),
        "block_size": (3, 5, 10**12),
        "vocab_size": (4, 6, 50257),
        "dropout": (1.0, 0.5, 2, -1),
        "mlp_type": ("relu", "swiglu", "wavelet"),
        "pos_encoding": ("rope", "alibi", "none"),
        "norm_type": ("rmsnorm", 3),
        "tie_weights": (True,),
        "device": ("nonsense", ""),
        "batch_size": (0, 10**9),
        "head_size": (1, 2),
        "mlp_hidden": (1,),
        "attn_scale": (0.0,),
        "norm_eps": (0.0, 1e300),
        "rope_theta": (1e-300, 1e300),
        "pad_token_id": (99, -1),
        "plugins": ({"a": {}}, 1),
        "qkv_bias": (True,),
        "proj_bias": (True,),
    }
    states = {
        "step": (None, -1, "3", 1.5, 2**70),
        "optimizer_file": (
            *("../x.pt", "/etc/x", "x" * 201, "x" * 250, "x" * 300, "x" * 5000, "", ".", "a/b"),
            *(7, None, "gone.pt", "model.pt", "config.json", "training_state.json", "é.pt"),
        ),
        "training_config": ([], {"learning_rate": "x"}, {"gold_guards": {"a": 1}}, {"a": 1}),
        "data": (3,),
        "gold": ([], {"best_step": 99}),
        "format_version": ("3.0", "x", 3),
        "plugins": ([],),
    }
    tokenizers = {
        "token_kind": ("bytes", "gpt2", "", 3),
        "chars": (["a"], list("abcdefg"), ["a", "a"], [], "abc", None),
        "special_token_encoder": ({"<a>": 4}, {"<a>": 99}, {"<a>": -1}, []),
        "plugins": ([], {"x": 1}),
    }
    for base, files in (("2.0", GOOD), ("1", OLD)):
        for name, changes in {
            "config.json": configs,
            "training_state.json": states,
            "tokenizer.json": tokenizers,
        }.items():
            document = json.loads(files[name])
            for field, given in changes.items():
                for value in given:
                    shown = json.dumps(value)[:20]
                    content = TEXT({**document, field: value})
                    yield f"{base}: {name} {field} {shown}", files | {name: content}
                without = {k: v for k, v in document.items() if k != field}
                yield f"{base}: {name} without {field}", files | {name: TEXT(without)}


def tensor_cases():
    row = values("float32", (3,))
    alike, named = bundles.by_index, bundles.adamw(CONFIG)
    optimizers = {
        "empty": {},
        "by name": named,
        "by index": alike(named),
        "of nobody": {**named, "optimizer": "mine"},
        "without its optimizer": {k: v for k, v in named.items() if k != "optimizer"},
        "name of no parameter": {**named, "param_groups": [{"params": ["x"], "lr": 0.1}]},
        "list": [],
        "text state": {"state": "a", "param_groups": "b"},
        "no groups": {"state": {}, "param_groups": []},
        "odd groups": {"state": {0: 1}, "param_groups": [[], 1, None, {"params": 3}]},
        "beyond": {"state": {99: {"exp_avg": row}}, "param_groups": [{"params": [0]}]},
        "of another model": bundles.adamw(CONFIG | {"n_embd": 8}),
        "of another model, by index": alike(bundles.adamw(CONFIG | {"n_embd": 8})),
        "of fewer layers": alike(bundles.adamw(CONFIG | {"n_layer": 0})),
        "lr of text": {"state": {}, "param_groups": [{"params": [], "lr": "x", "betas": (1, 2)}]},
    }
    for base, files in (("2.0", GOOD), ("1", OLD)):
        for name, optimizer in optimizers.items():
            yield f"{base}: optimizer {name}", files | {"optimizer.pt": PT(optimizer)}
            yield (
                f"{base}: optimizer {name}, committed",
                bundles.committed(files | {"optimizer.pt": PT(optimizer)}),
            )
        for name, data in records():
            yield f"{base}: weights, {name}", files | {"model.pt": data}
            yield f"{base}: optimizer, {name}", files | {"optimizer.pt": data}
        lost = bundles.changed(**{"ln_f.weight": None})
        yield f"{base}: a tensor lost", files | {"model.pt": PT(lost)}
        for dtype in ("int64", "float64"):
            other = bundles.changed(**{"ln_f.weight": values(dtype, (4,))})
            yield f"{base}: a tensor of {dtype}", files | {"model.pt": PT(other)}
    tied = CONFIG | {"tie_weights": True}
    twice = bundles.weights(tied)
    twice[bundles.HEAD] = values("float32", (5, 4), 77)
    yield "2.0: tied, but different", bundles.shareable(tied) | {"model.pt": PT(twice)}
    old_tied = TEXT({**OLD_CONFIG, "tie_weights": True})
    yield "1: tied, but different", OLD | {"config.json": old_tied, "model.pt": PT(twice)}
    wrapped = {"state_dict": bundles.weights(CONFIG), "checkpoint_dtype": 3, "model_dtype": None}
    yield "1: wrapped", OLD | {"model.pt": PT(wrapped)}
    for name, state in {"list": [1], "empty": {}, "text": "x"}.items():
        yield f"1: wrapped {name}", OLD | {"model.pt": PT({"state_dict": state})}
    yield "1: per head", OLD | {"model.pt": PT(bundles.per_head())}
    for name, optimizer in optimizers.items():
        per_head = {"model.pt": PT(bundles.per_head()), "optimizer.pt": PT(optimizer)}
        yield f"1: per head, optimizer {name}", OLD | per_head
        yield f"0: optimizer {name}", old_file(optimizer_state_dict=optimizer)
        yield f"nanogpt: optimizer {name}", nano(optimizer=optimizer)


def file_cases():
    """Single files, and folders with files of several formats."""
    weights = GOOD["model.pt"]
    for name in ("x.pt", "latest.pt", "model.pt", "ckpt.pt", "notes.txt", "x.safetensors", "x.bin"):
        yield f"alone: weights as {name}", {name: weights}, name
        yield f"alone: a text as {name}", {name: b"hello"}, name
        yield f"alone: a number as {name}", {name: PT(3)}, name
        yield f"in a folder: weights as {name}", {name: weights}, "."
    for name in GOOD:
        yield f"alone: {name}", {name: GOOD[name]}, "."
    yield "nothing", {}, "."
    yield "nowhere", {}, "nowhere"
    legacy = old_file()
    yield "0", legacy, "latest.pt"
    yield "0 in a folder", legacy, "."
    yield "0 beside weights", legacy | {"model.pt": weights}, "."
    yield "0 beside a config", legacy | {"config.json": OLD["config.json"]}, "."
    yield "0 beside a broken config", legacy | {"config.json": b"{"}, "."
    yield "0 beside version 1", legacy | OLD, "."
    yield "0 beside a manifest", legacy | {"manifest.json": b"{}"}, "."
    yield "0 beside an empty config", legacy | {"config.json": b"{}", "model.pt": weights}, "."
    hugging_face = {"config.json": b'{"model_type": "gpt2", "n_layer": 1}'}
    yield "hugging face, a config alone", hugging_face, "."
    yield "hugging face beside weights", hugging_face | {"model.pt": weights}, "."
    yield "hugging face, a zip for weights", hugging_face_folder(weights), "."
    yield "architectures without a type", {"config.json": b'{"architectures": []}'}, "."
    for field, value in {
        "step": "3",
        "config": {},
        "tokenizer": {"token_kind": "bytes"},
        "model_state_dict": {},
    }.items():
        yield f"0: {field} {value!r:.20}", old_file(**{field: value}), "."
    special = {"token_kind": "char", "chars": list("abcdefgh")}
    yield "0: too many characters", old_file(tokenizer=special), "."


def hugging_face_folder(weights):
    config = {"model_type": "gpt2", "n_positions": 4, "vocab_size": 5}
    config |= {"n_embd": 4, "n_head": 2, "n_layer": 1}
    return {"config.json": TEXT(config), "model.safetensors": weights}


def nanogpt_cases():
    yield "nanogpt", nano()
    for field, value in {
        "iter_num": "many",
        "config": [1],
        "model": {},
        "model_args": {},
        "best_val_loss": "x",
    }.items():
        yield f"nanogpt: {field} {value!r:.9}", nano(**{field: value})
    yield "nanogpt: no optimizer", nano(optimizer=None)
    decayed = [n for n, t in NANO_MODEL.items() if len(t.shape) == 2 and ".w" not in n[:14]]
    order = [n for n in NANO_MODEL if n != "lm_head.weight"]
    before = adamw_of(order, NANO_MODEL, [len(decayed), len(order) - len(decayed)])
    yield "nanogpt: groups of before May 2023", nano(optimizer=before)
    moments = bundles.by_index(bundles.adamw(FOREIGN_CONFIG, "matrices"))
    for betas in ((1, 2, 3), "ab", 0.9, ("x", "y"), (5.0, -1.0)):
        groups = [{**group, "betas": betas} for group in moments["param_groups"]]
        changed = {**moments, "param_groups": groups}
        yield f"nanogpt: betas {betas!r}", nano(optimizer=changed)
    for name, data in records():
        yield f"nanogpt file: {name}", {"ckpt.pt": data, "meta.pkl": meta()}
    members = {**members_of(NANO), "version": b"99"}
    yield "nanogpt: version 99", {"ckpt.pt": archive(members), "meta.pkl": meta()}
    yield "nanogpt: no meta", {"ckpt.pt": nano()["ckpt.pt"]}
    yield "nanogpt: meta is a folder", nano() | {"meta.pkl": FOLDER}
    flipped = bytearray(nano()["ckpt.pt"])
    flipped[flipped.index(b"data/3") + 200] ^= 1
    yield "nanogpt: a bit of the weights", {"ckpt.pt": bytes(flipped), "meta.pkl": meta()}


def every_case():
    yield from ((name, files, ".") for name, files in damaged("2.0", GOOD))
    yield from ((name, files, ".") for name, files in damaged("2", bundles.committed(GOOD)))
    yield from ((name, files, ".") for name, files in damaged("1", OLD))
    yield from ((name, files, ".") for name, files in damaged("nanogpt", nano()))
    yield from ((name, files, ".") for name, files in damaged("0", old_file()))
    yield from ((name, files, ".") for name, files in field_cases())
    yield from ((name, files, ".") for name, files in tensor_cases())
    yield from ((name, files, ".") for name, files in nanogpt_cases())
    yield from file_cases()


CASES = {name: (files, opened) for name, files, opened in every_case()}


def write(folder, files, opened="."):
    folder.mkdir(parents=True)
    for name, content in files.items():
        if content is FOLDER:
            (folder / name).mkdir()
        elif content is not None:
            (folder / name).write_bytes(content)
    return folder / opened


# The doors.


def pass_through_doors(path):
    """Return what each door says where it does not open, and what only training needs.

    Anything but a `MyptError` comes out as it is.
    """
    refused, flaws = {}, set()
    try:
        info = mypt.get_model_info(path, plugins=PLUGINS)
        opened = open_checkpoint(path, PLUGINS)
        warnings = set(info["warnings"]) - {*info["edits"], *map(str, opened.lacking)}
        flaws = {str(flaw) for flaw in opened.flaws}
        warnings = {line for line in warnings if "tokenizer.json: is missing; restore" not in line}
        assert bool(warnings) == bool(flaws)
    except MyptError as error:
        refused["inspect"] = str(error)
    try:
        model = mypt.load(path, plugins=PLUGINS)
    except MyptError as error:
        return refused | {"load": str(error), "generate": str(error)}, flaws
    try:
        model.generate([0] if opened.lacking else "", 1)  # without the feature of a text, of ids
    except MyptError as error:
        refused["generate"] = str(error)
    return refused, flaws


def check(path):
    found = validate(path, PLUGINS.layouts, READERS, settings=PLUGINS.settings, checksums=True)
    # that a document was edited is what --checksums is asked for, and no reason to refuse it
    return [problem for problem in found if problem.kind not in (EDITED, REFORMATTED)]


def disagreement(path):
    """Say where the doors disagree; "" where they do not."""
    problems = check(path)
    errors = [problem for problem in problems if problem.severity == "error"]
    refused, flaws = pass_through_doors(path)
    if not errors and not is_valid(problems):
        return "" if len(refused) == 3 else f"takes an option, but is refused by {refused} alone"
    faults = [error for error in errors if str(error) not in flaws]
    if faults and all(fault.kind in CONTENT for fault in faults):
        if all(fault.file.endswith("optimizer.pt") for fault in faults):
            return f"{refused}" if refused else ""
        return "" if refused.keys() == {"load", "generate"} else f"{faults}, {refused}"
    if faults:
        return "" if len(refused) == 3 else f"{list(map(str, faults))}, but refused by {refused}"
    told = {str(error) for error in errors}
    return f"valid, but {refused}" if refused else f"{flaws - told}" if flaws - told else ""


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """Keep the log of warnings, which have a test of their own, out of the way."""
    logger = logging.getLogger("mypt")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


def test_the_doors_agree_on_every_case_of_the_conformance_suite():
    cases = [case for kind in ("bundles", "files") for case in INDEX[kind]]
    found = {Path(case["path"]).name: disagreement(SUITE / case["path"]) for case in cases}
    assert len(found) > 100
    for case in cases:  # text needs what is not here; the suite's own test says who refuses it
        name = Path(case["path"]).name
        if case.get("refused") == ["generate"]:
            del found[name]
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize("group", sorted({name.partition(":")[0] for name in CASES}))
def test_the_doors_agree_on_what_is_damaged(group, tmp_path):
    cases = {name: case for name, case in CASES.items() if name.partition(":")[0] == group}
    found = {
        name: disagreement(write(tmp_path / str(number), *case))
        for number, (name, case) in enumerate(cases.items())
    }
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize("group", ["mypt", "foreign", "neighbours"])
def test_the_doors_agree_on_what_other_programs_wrote(group, fixtures):
    found = {
        path: disagreement(path)
        for path in find_checkpoints(fixtures / group, READERS)
        if path.suffix != ".json"
    }
    assert {path: said for path, said in found.items() if said} == {}


def test_what_the_damage_is_done_to_opens(tmp_path):
    sound = {"2.0": GOOD, "1": OLD, "0": old_file(), "nanogpt": nano()}
    for name, files in sound.items():
        path = write(tmp_path / name, files)
        assert is_valid(check(path)), name
        assert pass_through_doors(path) == ({}, set()), name


# What only training needs.

FLAWED = {
    "2.0, optimizer": GOOD | {"optimizer.pt": b"nothing"},
    "2.0, training state": GOOD | {"training_state.json": b"{"},
    "2.0, newer training state": GOOD | {"training_state.json": b'{"format_version": "3.0"}'},
    "2.0, optimizer of another model": GOOD
    | {"optimizer.pt": PT(bundles.adamw(CONFIG | {"n_embd": 8}))},
    "2.0, long name": GOOD | {"training_state.json": TEXT({**STATE, "optimizer_file": "x" * 5000})},
    "1, optimizer": OLD | {"optimizer.pt": b"nothing"},
    "1, training state": OLD | {"training_state.json": b"[]"},
    "1, long name": OLD | {"training_state.json": TEXT({"step": 3, "optimizer_file": "x" * 300})},
    "1, groups": OLD | {"optimizer.pt": PT({"state": {}, "param_groups": [{"params": [0]}]})},
    "0, optimizer": old_file(optimizer_state_dict={}),
    "nanogpt, empty optimizer": nano(optimizer={}),
    "nanogpt, groups of before May 2023": CASES["nanogpt: groups of before May 2023"][0],
}


@pytest.fixture(params=FLAWED)
def flawed(request, in_tmp):
    """A checkpoint whose only fault is what training needs, as the model `m`."""
    return write(in_tmp / "checkpoints" / "m", FLAWED[request.param])


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "mypt"]


def test_a_flaw_of_training_is_a_warning_of_inference(flawed, caplog, capsys, cli_run):
    errors = [problem for problem in check(flawed) if problem.severity == "error"]
    assert errors
    with caplog.at_level(logging.WARNING, "mypt"):
        mypt.load(flawed)
    said = [line for line in warnings_of(caplog) if line.endswith("; only training needs it")]
    assert len(said) == len({error.file for error in errors})  # the first of each file
    assert mypt.get_model_info(flawed)["warnings"] == said
    for words in (("inspect",), ("inspect", "--json"), ("generate", "--max_new_tokens", "1")):
        code, _, err = cli_run(*words, "--model_name", str(flawed))
        assert code == 0
        assert [line for line in err.splitlines() if line.startswith("warning: ")] == [
            f"warning: {line}" for line in said
        ]


def test_a_flaw_of_training_keeps_nobody_from_exporting(flawed, tmp_path):
    exportable = "nanogpt" in json.dumps(mypt.get_model_info(flawed)["format"])
    if not exportable:  # the models of MyPT have biases that no class of transformers has
        with pytest.raises(FormatError, match="bias"):
            export_model(flawed, "hf", tmp_path / "out", plugins=PLUGINS)
        return
    lines = export_model(flawed, "hf", tmp_path / "out", plugins=PLUGINS)
    assert any(line.startswith("warning: ") for line in lines)
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_flaw_of_training_refuses_a_resume_and_changes_nothing(flawed):
    before = {path: path.read_bytes() for path in flawed.iterdir()}
    request = TrainRequest(model_name="m", training={"max_iters": 9, "input_file": "input.txt"})
    Path("input.txt").write_text("abcde" * 50)
    said = mypt.get_model_info("m")["warnings"]
    with pytest.raises(FormatError) as refused:
        run_training(request, PLUGINS, quiet=True)
    assert {f"{problem}; only training needs it" for problem in refused.value.problems} >= {*said}
    assert said
    with pytest.raises(FormatError):
        mypt.CheckpointManager("m").initialize_for_training(mypt.GPTConfig())
    with pytest.raises(FormatError):
        mypt.GPT.load_legacy(flawed)
    assert {path: path.read_bytes() for path in flawed.iterdir()} == before


def test_a_flaw_of_training_keeps_nobody_from_fine_tuning(flawed, capsys):
    Path("input.txt").write_text("abcde" * 50)
    training = {"max_iters": 1, "input_file": "input.txt", "init_from_model": str(flawed)}
    training |= {"eval_iters": 1}
    outcome = run_training(TrainRequest(model_name="n", training=training), PLUGINS)
    assert outcome.state.step == 1
    assert "only training needs it" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../x.pt", "/etc/passwd", "a/b", ".."])
@pytest.mark.parametrize("files", [GOOD, OLD], ids=["2.0", "1"])
def test_a_path_that_leaves_the_folder_refuses_the_bundle(files, name, tmp_path):
    state = {**json.loads(files["training_state.json"]), "optimizer_file": name}
    path = write(tmp_path / "m", files | {"training_state.json": TEXT(state)})
    assert len(pass_through_doors(path)[0]) == 3


@pytest.mark.parametrize("files", [GOOD, OLD], ids=["2.0", "1"])
def test_an_optimizer_that_could_run_code_refuses_the_bundle(files, tmp_path):
    gadget = archive({"data.pkl": b"\x80\x02cos\nsystem\n.", "version": b"3\n"})
    for number, more in enumerate((lambda f: f, bundles.committed)):
        path = write(tmp_path / str(number), more(files | {"optimizer.pt": gadget}))
        assert len(pass_through_doors(path)[0]) == 3


def test_weights_alone_are_the_same_to_all(tmp_path):
    path = write(tmp_path / "m", {"model.pt": GOOD["model.pt"]})
    (problem,) = [problem for problem in check(path) if problem.severity == "error"]
    assert (problem.file, problem.what) == (str(path / "config.json"), "is missing")
    assert set(pass_through_doors(path)[0].values()) == {str(problem)}
    migrator = Migrator(readers=READERS, written_by="the tests", layouts=PLUGINS.layouts)
    with pytest.raises(FormatError) as refused:
        migrator.migrate(path)
    assert str(refused.value) == str(problem)


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        (nano() | {"meta.pkl": None}, "opens with what the warning names"),
        (GOOD, "valid"),
        (GOOD | {"model.pt": b""}, "invalid, 1 error"),
    ],
)
def test_the_command_calls_nothing_valid_that_takes_an_option(files, verdict, tmp_path, cli_run):
    path = write(tmp_path / "m", files)
    code, out, _ = cli_run("format", "validate", str(path))
    assert out.splitlines()[-1] == f"{path}: {verdict}"
    assert code == (verdict != "valid")
    _, out, _ = cli_run("format", "validate", "--json", str(path))
    assert json.loads(out)[0]["valid"] is (verdict == "valid")


def test_a_model_without_a_tokenizer_is_continued_in_ids(tmp_path, cli_run):
    for number, tokenizer in enumerate((None, TEXT({**TOKENIZER, "token_kind": "bytes"}))):
        path = write(tmp_path / str(number), GOOD | {"tokenizer.json": tokenizer})
        words = ("generate", "--model_name", str(path), "--max_new_tokens", "3", "--prompt")
        code, out, err = cli_run(*words, "4 0")
        assert code == 0
        assert [int(word) for word in out.split()][:2] == [4, 0]
        assert len(out.split()) == 5
        assert "prompts and texts are ids" in err
        code, _, err = cli_run(*words, "the")
        assert code == 1
        assert "write ids from 0 to 4" in err


@pytest.fixture
def cli_run(capsys):
    """Run `mypt` in this process; give its exit code and what it said."""
    from mypt.cli.main import mypt_group, run

    def call(*words):
        code = run(mypt_group, "mypt", list(words))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("name", ["training_state.json", "optimizer.pt"])
def test_a_folder_in_the_place_of_what_training_needs_refuses_a_resume(name, in_tmp):
    Path("checkpoints").mkdir()
    folder = write(Path("checkpoints/m"), {**GOOD, name: FOLDER})
    assert not is_valid(check(folder))
    assert mypt.get_model_info(folder)["warnings"]
    mypt.load(folder).generate("", 1)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    Path("input.txt").write_text("abcde" * 50)
    request = TrainRequest(model_name="m", training={"max_iters": 9, "input_file": "input.txt"})
    with pytest.raises(FormatError, match="is not a regular file"):
        run_training(request, PLUGINS, quiet=True)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("entry", [None, {}, {"exp_avg": 3.0}, [1]])
def test_an_optimizer_without_moments_is_a_flaw_of_training(entry, tmp_path):
    state = torch.load(io.BytesIO(GOOD["optimizer.pt"]), weights_only=True)
    state["state"]["ln_f.weight"] = entry
    stream = io.BytesIO()
    torch.save(state, stream)
    folder = write(tmp_path / "m", {**GOOD, "optimizer.pt": stream.getvalue()})
    assert [p.kind for p in check(folder) if p.severity == "error"] == ["optimizer.form"]
    assert disagreement(folder) == ""
