"""Checkpoints that mean harm, by name: each writes itself into a folder and says what to open."""

import json
import os
import pickle
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from attrs import frozen

from tests.support.conformance import bundles
from tests.support.conformance.documents import CONFIG, OLD_CONFIG, STATE, TOKENIZER
from tests.support.conformance.ptfile import archive, deflated, evolve, members_of, shared, values

MIB = 1 << 20
GOOD = bundles.committed(bundles.complete())
ROWS = bundles.weights(CONFIG)


@frozen
class Case:
    """A hostile checkpoint.

    Attributes:
        files: Content by name; a function is called with the path to make something odd there.
        opened: What is given to the doors, relative to the folder.
        is_refused: Whether nothing of it may be opened; else it only must do no harm.
        is_heavy: Whether it is large, so that a few doors have to do.
        is_flaw: Whether only training is refused, and inference warned.
    """

    files: dict
    opened: str = "."
    is_refused: bool = True
    is_heavy: bool = False
    is_flaw: bool = False

    def write(self, folder):
        """Write it; give what to open."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(path)
            else:
                path.write_bytes(content)
        return folder / self.opened


def bundle(**changed):
    """Give a whole committed bundle in which these files are others; `_` stands for the dot."""
    files = {name.replace("__", "."): data for name, data in changed.items()}
    return Case({**GOOD, **{n: d for n, d in files.items() if d is not None}})


def unsealed(**changed):
    """Give the same without a manifest, which would notice."""
    whole = {**bundles.complete(), **{n.replace("__", "."): d for n, d in changed.items()}}
    return Case({name: data for name, data in whole.items() if data is not None})


def config(**fields):
    return unsealed(config__json=bundles.text({**CONFIG, **fields}))


def state(**fields):
    return unsealed(training_state__json=bundles.text({**STATE, **fields}))


def tokenizer(**fields):
    return unsealed(tokenizer__json=bundles.text({**TOKENIZER, **fields}))


def manifest(**fields):
    document = json.loads(GOOD["manifest.json"]) | fields
    return bundle(manifest__json=bundles.text(document))


def listed(name, size_bytes=1):
    """Give a manifest that lists one more file."""
    files = json.loads(GOOD["manifest.json"])["files"]
    return manifest(files=files | {name: {"size_bytes": size_bytes, "sha256": "0" * 64}})


def legacy(**changed):
    """Give a single file of the first releases."""
    content = bundles.version_0()["latest.pt"] | changed
    return Case({"latest.pt": bundles.pt(content)}, opened="latest.pt")


def nanogpt(meta=None, **changed):
    args = {name: CONFIG[name] for name in ("block_size", "vocab_size", "n_embd", "n_head")}
    content = {"model": {}, "model_args": args | {"n_layer": 1}, "iter_num": 1, **changed}
    files = {"ckpt.pt": bundles.pt(content)}
    return Case(files if meta is None else files | {"meta.pkl": meta})


def build_llm(tokenizer_json=None, **changed):
    hyperparameters = {"n_embd": 4, "n_head": 2, "n_layer": 1, "tokenization_method": "custom_bpe"}
    content = {
        "model_state_dict": {"token_embedding_table.weight": values("float32", (5, 5))},
        "hyperparameters": hyperparameters,
        "vocab_size": 5,
        "block_size": 4,
        **changed,
    }
    name = "checkpoint_transformer_x_step1_20250101.pt"
    files = {name: bundles.pt(content)}
    if tokenizer_json is not None:
        files["tokenizer.json"] = tokenizer_json
    return Case(files, opened=name)


HF_CONFIG = {
    "model_type": "gpt2",
    "n_positions": 4,
    "vocab_size": 5,
    "n_embd": 4,
    "n_head": 2,
    "n_layer": 1,
}


def hugging_face(weights=None, index=None, **changed):
    files = {"config.json": bundles.text(HF_CONFIG | changed)}
    if weights is not None:
        files["model.safetensors"] = weights
    if index is not None:
        files["model.safetensors.index.json"] = bundles.text(index)
    return Case(files)


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin, end, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


# Pickles that do something. Each would leave the file `owned` behind, or a door open.


def calling(function, *arguments):
    class Gadget:
        def __reduce__(self):
            return function, arguments

    return pickle.dumps({"token_embedding_table.weight": Gadget()}, 2)


GADGETS = {
    "os.system": calling(os.system, "touch owned"),
    "eval": calling(eval, "__import__('os').system('touch owned')"),
    "exec": calling(exec, "open('owned', 'w')"),
    "subprocess": calling(subprocess.check_output, ["touch", "owned"]),
    "socket": calling(socket.create_connection, ("127.0.0.1", 9)),
    "open": calling(open, "owned", "w"),
    "rmtree": calling(shutil.rmtree, "owned"),
    "getattr": b"\x80\x02cbuiltins\ngetattr\n.",
    "pathlib": pickle.dumps(Path("owned"), 2),
    "torch.load": b"\x80\x02ctorch\nload\nX\x01\x00\x00\x00a\x85R.",
    "torch.hub": b"\x80\x02ctorch.hub\nload\nX\x01\x00\x00\x00a\x85R.",
    "torch._dynamo": b"\x80\x02ctorch._dynamo.guards\n___import\n.",
    "numpy": b"\x80\x02cnumpy.testing._private.utils\nrunstring\n.",
    "a class by INST": b"\x80\x02(S'touch owned'\nios\nsystem\n.",
    "a name by STACK_GLOBAL": b"\x80\x02X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.",
}


def in_archive(content):
    return archive({"data.pkl": content, "byteorder": b"little", "version": b"3\n"})


def gadget_cases():
    for name, content in GADGETS.items():
        held = in_archive(content)
        yield f"weights: {name}", bundle(model__pt=held)
        yield f"optimizer: {name}", bundle(optimizer__pt=held)
        yield f"legacy: {name}", Case({"latest.pt": held}, opened="latest.pt")
    bare = GADGETS["os.system"]
    yield "weights: a bare pickle", bundle(model__pt=bare)
    yield "legacy: a bare pickle", Case({"latest.pt": bare})
    yield "legacy: final.pt in a folder", Case({"final.pt": in_archive(bare)})
    yield "tokenizer: a pickle for JSON", bundle(tokenizer__json=bare)
    yield "config: a pickle for JSON", bundle(config__json=bare)
    yield "nanogpt: the checkpoint calls", Case({"ckpt.pt": in_archive(bare)})
    yield "build_llm: the checkpoint calls", Case({"checkpoint_a_b_step1_2.pt": in_archive(bare)})
    for name in ("os.system", "eval", "subprocess", "a class by INST", "a name by STACK_GLOBAL"):
        yield f"nanogpt: meta.pkl, {name}", nanogpt(GADGETS[name])


def tensor_cases():
    wide = values("float32", (5, 4))
    head = bundles.HEAD
    aliased = ROWS | {"ln_f.weight": shared(ROWS["blocks.0.ln1.weight"])}
    yield "weights: shared by two", unsealed(model__pt=bundles.pt(aliased))
    for name, tensor in {
        "a storage of a huge size": evolve(wide, held=2**61),
        "a storage on meta": evolve(wide, location="meta"),
        "one value expanded": evolve(values("float32", (1,)), shape=(5, 4), stride=(0, 0), held=1),
        "a negative stride": evolve(wide, stride=(-4, 1)),
        "beyond its storage": evolve(wide, offset=1),
        "a shape of 2**62": evolve(wide, shape=(2**62, 8), stride=(1, 1)),
    }.items():
        yield f"weights: {name}", unsealed(model__pt=bundles.pt(bundles.changed(**{head: tensor})))
    for name in ("_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_meta_tensor_no_storage"):
        held = in_archive(f"\x80\x02ctorch._utils\n{name}\n.".encode("latin-1"))
        yield f"weights: {name}", bundle(model__pt=held)
        yield f"legacy: {name}", Case({"latest.pt": held}, opened="latest.pt")
    form = {"optimizer": "adamw", "param_groups": []}
    lying = {**form, "state": {bundles.HEAD: {"exp_avg": evolve(wide, held=2**61)}}}
    yield "optimizer: a storage of a huge size", unsealed(optimizer__pt=bundles.pt(lying))
    many = {**form, "state": dict.fromkeys(range(300_000), 1)}
    yield "optimizer: 300,000 moments of nothing", unsealed(optimizer__pt=bundles.pt(many))
    yield (
        "optimizer: groups that are no groups",
        unsealed(
            optimizer__pt=bundles.pt(
                {**form, "state": {"a": 1}, "param_groups": [[], 1, None, {"params": 3}]}
            )
        ),
    )
    yield (
        "weights: a name of several lines",
        unsealed(model__pt=bundles.pt(bundles.changed(**{"a\nerror: b\x1b[2J\x00": wide}))),
    )
    yield (
        "weights: a name of half a character",
        unsealed(
            model__pt=in_archive(
                b"\x80\x02}X\x03\x00\x00\x00\xed\xa0\x80K\x01s."  # U+D800, as pickles may have it
            )
        ),
    )
    yield (
        "weights: a name of a million letters",
        unsealed(model__pt=bundles.pt(bundles.changed(**{"n" * MIB: wide}))),
    )


def archive_cases():
    members = members_of(ROWS)
    pairs = list(members.items())
    for name, data in {
        "a bomb": deflated(members | {"data/0": bytes(MIB)}),
        "a member twice": archive([*pairs, ("data/3", b"x")]),
        "another pickle in other letters": archive([*pairs, ("DATA.PKL", b"x")]),
        "a name that climbs": archive([*pairs, ("../../owned", b"x")]),
        "an absolute name": archive([*pairs, ("/owned", b"x")]),
        "a program inside": archive([*pairs, ("code/a.py", b"x")]),
        "a pickle of 65 MiB": archive({**members, "data.pkl": b"\x80\x02" + bytes(65 * MIB)}),
        "cut off": bundles.pt(ROWS)[:-9],
        "a huge version": archive({**members, "version": bytes(9 * MIB)}),
        "text": b"hello",
        "nothing": b"",
    }.items():
        yield f"archive: {name}", unsealed(model__pt=data)
        if len(data) < MIB:
            yield f"legacy archive: {name}", Case({"latest.pt": data}, opened="latest.pt")
    yield (
        "archive: millions of operations",
        Case({"latest.pt": in_archive(b"\x80\x02](" + b"]" * 2_100_000 + b"e.")}, is_heavy=True),
    )
    named = b"".join(
        b"X" + struct.pack("<I", 30) + f"blocks.{i:07}.sa.heads.0.key.w".encode() + b"h\x00"
        for i in range(300_000)
    )
    config = {**OLD_CONFIG, "n_layer": 90_000}
    body = members_of({"config": config, "t": ROWS[bundles.HEAD]})
    yield (
        "legacy: 300,000 layers of one head",
        Case(
            {"latest.pt": archive(body | {"data.pkl": _many_layers(body["data.pkl"], named)})},
            opened="latest.pt",
            is_heavy=True,
        ),
    )


def _many_layers(data, named):
    """Put `model_state_dict` with many names of one tensor beside a config."""
    key = b"X\x10\x00\x00\x00model_state_dict"
    mark = b"X\x01\x00\x00\x00t"
    head, tensor = data[:-2].split(mark)
    return head + mark + tensor + b"q\x00" + key + b"}(" + named + b"u" + b"u."


NESTED = b"[" * 30_000 + b"]" * 30_000
WIDE = "\U0001f600".encode()
JSON = {
    "deep": b'{"a":' + NESTED + b"}",
    "500 deep": b'{"plugins":{"a":{"x":' + b"[" * 500 + b"]" * 500 + b"}}}",
    "100 deep": b'{"plugins":{"a":{"x":' + b"[" * 100 + b"]" * 100 + b"}}}",
    "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "NaN": b'{"dropout": NaN}',
    "Infinity": b'{"dropout": -Infinity}',
    "1e999": b'{"dropout": 1e999}',
    "a key twice": b'{"n_layer": 1, "n_layer": 2}',
    "a key twice, escaped": b'{"n_layer": 1, "n_l\\u0061yer": 2}',
    "half a character": b'{"device": "\\udc00"}',
    "half a character as bytes": b'{"device": "\xed\xb0\x80"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"n_layer": 1}'.encode("utf-16"),
    "NUL bytes": bytes(4096),
    "a NUL in a text": b'{"device": "a\x00b"}',
    "a list": b"[1]",
    "a text": b'"a"',
    "null": b"null",
    "nothing": b"",
    "two documents": b"{}{}",
    "an integer of 5,000 digits": b'{"n_layer": ' + b"7" * 5_000 + b"}",
}
HUGE_JSON = {
    "an integer of 40 MB": b'{"n_layer": ' + b"7" * (40 * MIB) + b"}",
    "a fraction of 40 MB": b'{"dropout": 0.' + b"7" * (40 * MIB) + b"}",
    "a text of 40 MB": b'{"device": "' + b"a" * (40 * MIB) + b'"}',
    "a wide text of 47 MB": b'{"device": "\\ud83d\\ude00' + WIDE + b"a" * (47 * MIB) + b'"}',
    "a key of 40 MB": b'{"' + b"a" * (40 * MIB) + b'": 1}',
    "four million numbers": b'{"a": [' + b",".join([b"1"] * 3_990_000) + b"]}",
    "a million keys": b"{" + b",".join(b'"k%d":1' % i for i in range(950_000)) + b"}",
    "100 MB of nothing": b"{" + b" " * (100 * MIB) + b"}",
}


def json_cases():
    for file in ("config", "tokenizer", "training_state", "manifest"):
        for name, data in JSON.items():
            if file != "config" and name in ("a list", "a text", "null", "two documents", "1e999"):
                continue
            yield f"{file}: {name}", bundle(**{f"{file}__json": data})
        for name, data in HUGE_JSON.items():
            if file == "tokenizer" or (file, name) == ("config", "100 MB of nothing"):
                yield f"{file}: {name}", evolve(bundle(**{f"{file}__json": data}), is_heavy=True)
    for name, key in {"a million letters": "x" * MIB, "several lines": "a\nb\x1b"}.items():
        yield f"config: a key of {name}", config(n_layer=7, **{key: 1})


def field_cases():
    wrong = [None, True, "1", 1.5, [], {}, -1, 10**9, 10**12, 10**299, "\x1b[2J\n", ["x"] * 9]
    for field in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size"):
        for value in wrong:
            is_large = isinstance(value, int) and value > 9
            kind = f"{value:.0e}" if is_large else str(json.dumps(value))[:9]
            yield f"config: {field} is {kind}", config(**{field: value})
    yield "config: 99,999 layers", config(n_layer=99_999)
    yield "config: vocab_size of 2**31 - 1", config(vocab_size=2**31 - 1, n_embd=2**31 - 1)
    yield "config: a head of many", config(n_head=2**31 - 1)
    for field in ("dropout", "bias", "mlp_type", "pos_encoding", "rope_theta", "plugins", "device"):
        yield f"config: {field} is a list", config(**{field: [1]})
        yield f"config: {field} is an object", config(**{field: {"a": 1}})
    for field in ("step", "training_config", "data", "gold", "optimizer_file", "inexact_reasons"):
        for value in (True, "x/y", [[]], -1, 10**299):
            yield f"state: {field} is {json.dumps(value)[:9]}", state(**{field: value})
    for field in ("chars", "token_kind", "special_token_encoder"):
        for value in (True, 7, [1, None], {"a": -1}, {"a": 10**12}):
            yield f"tokenizer: {field} is {json.dumps(value)[:9]}", tokenizer(**{field: value})
    ids = {f"<{i}>": 10**6 + i for i in range(200_000)}
    yield (
        "tokenizer: 200,000 special tokens beyond",
        evolve(tokenizer(special_token_encoder=ids), is_heavy=True),
    )
    yield (
        "tokenizer: a million times one character",
        evolve(tokenizer(chars=["a"] * 10**6), is_heavy=True),
    )
    reasons = {"inexact_reasons": ["a"] * 10**6, "step": -1}
    yield "state: a million reasons", evolve(state(**reasons), is_heavy=True)


def path_cases():
    for name in (
        "../x.pt",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        "C:x",
        "a\\b",
        "\x00",
        "x\n",
        ".x",
    ):
        yield f"state: optimizer_file {name!r}", state(optimizer_file=name)
        yield f"manifest: lists {name!r}", listed(name)
    old = bundles.of_version_1(model_pt=bundles.pt(ROWS))
    for name in ("../x.pt", "/etc/passwd", "..", "a\\b", "~/x:y"):
        said = bundles.text({"step": 3, "optimizer_file": name})
        yield f"version 1: optimizer_file {name!r}", Case(old | {"training_state.json": said})
    for name in ("manifest.json", "model.pt.mypt-000001", "x" * 201):
        yield f"manifest: lists {name[:30]!r}", listed(name)
    yield (
        "manifest: lists 30,000 files",
        evolve(
            manifest(files={f"f{i}": {"size_bytes": 1, "sha256": "0" * 64} for i in range(30_000)}),
            is_heavy=True,
        ),
    )
    for generation in (0, -1, 1.5, "1", 2**53 + 1, 10**299, None):
        yield f"manifest: generation {str(generation)[:9]}", manifest(generation=generation)
    files = json.loads(GOOD["manifest.json"])["files"]
    for name, record in {
        "fewer bytes": {**files["model.pt"], "size_bytes": 1},
        "10**18 bytes": {**files["model.pt"], "size_bytes": 10**18},
        "negative bytes": {**files["model.pt"], "size_bytes": -1},
        "no digest": {**files["model.pt"], "sha256": ""},
    }.items():
        yield f"manifest: {name}", manifest(files=files | {"model.pt": record})
    yield "manifest: a wrong checksum", manifest(checksum="0" * 64)
    for name in (
        "../x.safetensors",
        "/dev/zero",
        "..",
        "",
        "a/b",
        7,
        None,
        "missing.safetensors",
        "x\0y",
    ):
        said = {"weight_map": {"wte.weight": name}}
        yield f"hugging face: index to {name!r}", hugging_face(index=said)
    yield "hugging face: index is a list", hugging_face(index={"weight_map": []})


def odd_file_cases():
    def linked(target):
        return lambda path: path.symlink_to(target)

    for file in ("config.json", "tokenizer.json", "model.pt", "optimizer.pt", "manifest.json"):
        key = file.replace(".", "__")
        optional = file in ("tokenizer.json", "optimizer.pt", "manifest.json")
        for name, make in {
            "a pipe": os.mkfifo,
            "a folder": Path.mkdir,
            "a link to a device": linked("/dev/zero"),
            "a link to itself": lambda path: path.symlink_to(path.name),
            "a link to nothing": linked("nowhere"),
        }.items():
            refused = not (optional and name == "a link to nothing")
            yield f"{file} is {name}", evolve(bundle(**{key: make}), is_refused=refused)
    yield "latest.pt is a pipe", Case({"latest.pt": os.mkfifo}, opened="latest.pt")
    yield "latest.pt is a device", Case({"latest.pt": linked("/dev/zero")}, opened="latest.pt")
    yield "ckpt.pt is a pipe", Case({"ckpt.pt": os.mkfifo})
    yield "meta.pkl is a pipe", evolve(nanogpt(os.mkfifo))
    yield "model.safetensors is a pipe", hugging_face(os.mkfifo)
    yield "model.safetensors is a device", hugging_face(linked("/dev/zero"))
    yield "checkpoint_x.pt is a pipe", Case({"checkpoint_x.pt": os.mkfifo})
    yield "config.json is a link to a secret", bundle(config__json=linked("/etc/hostname"))
    yield "model.pt is a link to a text", bundle(model__pt=linked("/etc/hostname"))
    yield (
        "the manifest waits behind a link",
        Case(GOOD | {"model.pt.mypt-000001": linked("/dev/zero")}, is_refused=False),
    )
    yield "folders 1,200 deep", Case({"top": lambda path: _deep(path, 1200)})
    yield (
        "folders that link to each other",
        Case({f"loops/{name}": linked(".") for name in "abcdef"} | {"loops/x": b""}),
    )


def _deep(path, depth):
    path.mkdir()
    handle = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)


def safetensors_cases():
    data = bytes(8)
    for name, weights in {
        "a huge header": safetensors(b"{}", length=2**62),
        "a header of 100 MB": safetensors(b"{}", length=100 * MIB),
        "a header beyond the file": safetensors(b"{}", length=3),
        "no header": b"\x02\x00\x00\x00\x00\x00\x00\x00",
        "overlapping tensors": safetensors({"a": entry(0, 4), "b": entry(2, 6)}, data[:6]),
        "a gap": safetensors({"a": entry(0, 4), "b": entry(6, 10)}, bytes(10)),
        "a tensor beyond the file": safetensors({"a": entry(0, 4)}),
        "more bytes than tensors": safetensors({"a": entry(0, 4)}, bytes(9)),
        "another dtype than bytes": safetensors({"a": entry(0, 4, "F64")}, data[:4]),
        "an unknown dtype": safetensors({"a": entry(0, 4, "F8_E4M3", (4,))}, data[:4]),
        "a dtype of several lines": safetensors({"a": entry(0, 4, "a\nb\x1b" * 99)}, data[:4]),
        "negative places": safetensors({"a": entry(-4, 0)}),
        "a negative shape": safetensors({"a": entry(0, 4, shape=(-1, -1))}, data[:4]),
        "a shape of 10**12": safetensors({"a": entry(0, 4, shape=(10**12,) * 9)}, data[:4]),
        "places of text": safetensors({"a": entry("0", "4")}, data[:4]),
        "a name twice": safetensors(b'{"a": {}, "a": {}}'),
        "a list": safetensors(b"[1]"),
        "a deep header": safetensors(b'{"a":' + NESTED + b"}"),
        "true for a place": safetensors({"a": entry(False, 4)}, data[:4]),
    }.items():
        yield f"safetensors: {name}", hugging_face(weights)
    many = {f"t{i}": entry(0, 0, "U8", (0,)) for i in range(150_000)}
    yield (
        "safetensors: 150,000 tensors",
        evolve(hugging_face(safetensors(many), n_layer=90_000), is_heavy=True),
    )
    weights = safetensors({"wte.weight": entry(0, 80, shape=(5, 4))}, bytes(80))
    for field, value in {
        "n_layer": 10**9,
        "vocab_size": 10**12,
        "n_head": -1,
        "n_embd": "4",
        "model_type": "x\n\x1b[2J" * 99,
        "activation_function": ["a"],
        "layer_norm_epsilon": "x",
        "quantization_config": {"a": 1},
    }.items():
        yield (
            f"hugging face: {field} is {str(value)[:9]!r}",
            hugging_face(weights, **{field: value}),
        )
    yield (
        "hugging face: a pickle beside the config",
        Case(
            {
                "config.json": bundles.text(HF_CONFIG),
                "pytorch_model.bin": in_archive(GADGETS["os.system"]),
            }
        ),
    )


def foreign_cases():
    for name, changed in {
        "10**9 layers": {"config": {**OLD_CONFIG, "n_layer": 10**9}},
        "NaN for dropout": {"config": {**OLD_CONFIG, "dropout": float("nan")}},
        "a tensor in the config": {"config": {**OLD_CONFIG, "x": values("float32", (2,))}},
        "a NaN in a new field": {"config": {**OLD_CONFIG, "x": [float("inf")]}},
        "a config of numbers": {"config": {**OLD_CONFIG, 7: 8}},
        "a tokenizer that is a list": {"tokenizer": [1]},
        "a tokenizer that is a tensor": {"tokenizer": values("float32", (2,))},
        "a text for the weights": {"model_state_dict": {"a": "b"}},
        "no weights": {"model_state_dict": {}},
        "a list for the optimizer": {"optimizer_state_dict": [1]},
        "an optimizer of text": {"optimizer_state_dict": {"state": "a", "param_groups": "b"}},
        "a step of text": {"step": "3"},
        "a step of NaN": {"step": float("nan")},
        "a step of 2**2000": {"step": 2**2000},
    }.items():
        yield f"legacy: {name}", legacy(**changed)
    for name, changed in {
        "10**9 layers": {"model_args": {**HF_CONFIG, "block_size": 4, "n_layer": 10**9}},
        "sizes of text": {"model_args": {**HF_CONFIG, "block_size": "4"}},
        "a config of text": {"config": "a"},
        "a list for the weights": {"model": {1: 2}},
    }.items():
        yield f"nanogpt: {name}", nanogpt(**changed)
    for name, meta in {
        "no pickle": b"hello",
        "a list": b"\x80\x02].",
        "millions of marks": b"\x80\x02" + b"(" * 7_000_000 + b".",
        "millions of dicts": b"\x80\x02" + b"}" * 7_000_000 + b".",
        "9 MB": bytes(9 * MIB),
        "a billion values": b"\x80\x02}q\x00h\x00h\x00s.",
    }.items():
        yield f"nanogpt: meta.pkl, {name}", evolve(nanogpt(meta), is_heavy=len(meta) > MIB)
    for name, held in {
        "deep": b'{"model":' + NESTED + b"}",
        "a list of ids": b'{"model": {"vocab": [1, 2]}, "added_tokens": 7}',
        "ids beyond": b'{"model": {"vocab": {"a": 1000000000000}}}',
        "ids of objects": b'{"model": {"type": "BPE", "vocab": {"a": {}}, "merges": [[1]]}}',
        "a pickle": GADGETS["os.system"],
        "NaN": b'{"a": NaN}',
    }.items():
        harmless = name == "ids of objects"  # a plugin's to judge, who is not asked yet
        yield f"build_llm: tokenizer.json, {name}", evolve(build_llm(held), is_refused=not harmless)
    wrong = {"n_embd": 4, "n_head": 2**31 - 1, "n_layer": 1}
    yield (
        "build_llm: heads without end",
        build_llm(hyperparameters=wrong, model_state_dict={"a": values("float32", (2,))}),
    )
    yield "build_llm: a text for sizes", build_llm(vocab_size="5", block_size=[4])
    odd = {"a": values("float32", (2,)), "model.transformer.h.999999.x": values("float32", (1,))}
    yield (
        "build_llm: a layer of 10**6",
        build_llm(
            model_state_dict=odd, hyperparameters={"model_type": "gpt2", "gpt2_model_name": "gpt2"}
        ),
    )


def every_case():
    """Give all cases by name."""
    sources = (
        gadget_cases,
        tensor_cases,
        archive_cases,
        json_cases,
        field_cases,
        path_cases,
        odd_file_cases,
        safetensors_cases,
        foreign_cases,
    )
    cases = {}
    for source in sources:
        for name, case in source():
            assert name not in cases, name
            cases[name] = evolve(case, is_flaw=is_of_training(name))
    return cases


def is_of_training(name):
    """Tell by its name whether what is wrong with a case matters to training alone."""
    subject, _, rest = name.partition(": ")
    if subject == "optimizer":
        return rest not in GADGETS
    if subject.startswith("optimizer.pt is ") and subject != "optimizer.pt is a link to nothing":
        return True
    if subject == "state":
        return not rest.startswith("optimizer_file '") and rest != 'optimizer_file is "x/y"'
    return subject == "training_state" or name in (
        "legacy: a list for the optimizer",
        "legacy: an optimizer of text",
    )
