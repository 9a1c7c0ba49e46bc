"""A reader of mypt checkpoints, written from docs/specification/2.0.md and the schemas alone.

Standard library only, nothing of mypt. Numbers in brackets are sections of the specification.
"""

import hashlib
import io
import json
import math
import pickle
import pickletools
import re
import struct
import zipfile
import zlib
from collections import defaultdict
from contextlib import contextmanager
from itertools import pairwise

DOCUMENTS = {"config.json": "config", "tokenizer.json": "tokenizer"}
DOCUMENTS["training_state.json"] = "training_state"
KNOWN = ("adapter.lora",)  # the features that this reader knows [1.1]
# What cannot be done without another feature that a document requires [1.1].
PURPOSES = {"config.json": ("read", "generate", "train"), "tokenizer.json": ("generate",)}
PURPOSES["training_state.json"] = ("train",)
TIED = {"lm_head.weight", "token_embedding_table.weight"}
RECORDS = {"data.pkl", "byteorder", "version", ".format_version", ".storage_alignment"}
RECORDS |= {".data/version", ".data/serialization_id"}
STABLE = (*DOCUMENTS, "model.pt", "optimizer.pt")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
DAMAGES = (ValueError, LookupError, TypeError, RuntimeError, AttributeError, struct.error)
DAMAGES += (zipfile.BadZipFile, pickle.UnpicklingError)
PARTS = {"pos_encoding": "learned rope", "attention_type": "causal", "embedding_type": "token"}
PARTS |= {"head_type": "linear", "stack_type": "sequential", "norm_type": "layernorm rmsnorm"}
GATED = ("swiglu", "geglu", "geglu_tanh", "reglu")
PARTS["mlp_type"] = " ".join(("relu relu2 gelu gelu_tanh quick_gelu silu tanh", *GATED))
NORMS = {"sandwich_norm": ("ln1", "ln1_post", "ln2", "ln2_post"), "parallel": ("ln1",)}
PARTS["block_type"] = "pre_norm post_norm res_post_norm parallel_two_norms " + " ".join(NORMS)
ENDING = ("<|endoftext|>", 50256)
YARN = {"beta_fast": 32, "beta_slow": 1, "attention_factor": None, "truncate": True}
TAGGED = re.compile(rf"{FILE_NAME.pattern}\.mypt-[0-9]{{6,16}}(\.dropped)?")


class RefusedError(ValueError):
    """The checkpoint breaks the specification; `file`, `where` and `what` say how."""

    def __init__(self, what, where="", file=""):
        super().__init__(f"{file} {where}: {what}")
        self.what, self.where, self.file = what, where, file


def need(condition, what, where=""):
    if not condition:
        raise RefusedError(what, where)


@contextmanager
def reading(file):
    """Refuse the file if anything in it cannot be read."""
    try:
        yield
    except RefusedError as error:
        raise RefusedError(error.what, error.where, error.file or file) from error
    except DAMAGES as error:
        raise RefusedError(f"is damaged: {error}", "", file) from error


def read_json(path):
    """Read a document strictly [3]."""
    data = path.read_bytes()
    counted = sum(map(data.count, (b",", b"[", b"{"))) + 3 * data.count(b":")
    need(len(data) <= 48 * 2**20 and counted <= 4_000_000, "is too large")

    def unique(pairs):
        need(len(dict(pairs)) == len(pairs), "has a name twice in one object")
        return dict(pairs)

    def number(text):
        is_float = bool(set(text) & set(".eE"))
        need(is_float or len(text) <= 300, "has a number of too many digits")
        need(math.isfinite(float(text)), "has a number that no float holds")
        return float(text) if is_float else int(text)

    numbers = {"parse_float": number, "parse_int": number, "parse_constant": int}
    document = json.loads(data.decode("utf-8"), object_pairs_hook=unique, **numbers)
    json.dumps(document, ensure_ascii=False).encode("utf-8")  # fails on half a surrogate pair
    need(isinstance(document, dict), "is not an object")
    return document


TYPES = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}


def is_type(value, names):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    found = {name for name, kind in TYPES.items() if isinstance(value, kind)}
    found |= {"number", "integer" if value == int(value) else "number"} if number else set()
    return bool(found & set([names] if isinstance(names, str) else names))


def equal(value, other):
    return json.dumps(value) == json.dumps(other)  # unlike ==, this tells 1 from true


# Keyword -> the types it applies to, and whether a value keeps it.
KEYWORDS = {
    "type": (object, is_type),
    "enum": (object, lambda value, choices: any(equal(value, choice) for choice in choices)),
    "const": (object, equal),
    "minimum": ((int, float), lambda value, limit: value >= limit),
    "maximum": ((int, float), lambda value, limit: value <= limit),
    "exclusiveMinimum": ((int, float), lambda value, limit: value > limit),
    "exclusiveMaximum": ((int, float), lambda value, limit: value < limit),
    "pattern": (str, lambda value, pattern: re.search(pattern.replace("$", r"\Z"), value)),
    "minLength": (str, lambda value, limit: len(value) >= limit),
    "maxLength": (str, lambda value, limit: len(value) <= limit),
    "minItems": (list, lambda value, limit: len(value) >= limit),
    "uniqueItems": (list, lambda value, _: len(set(map(json.dumps, value))) == len(value)),
    "minProperties": (dict, lambda value, limit: len(value) >= limit),
    "required": (dict, lambda value, names: all(name in value for name in names)),
    "anyOf": (object, lambda value, options: any(not faults(o, value, {}) for o in options)),
}


def faults(schema, value, root, where=""):
    """Give the places where a value breaks a schema; knows the keywords that documents need."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    found = []
    for keyword, (kinds, keeps) in KEYWORDS.items():
        if keyword in schema and isinstance(value, kinds) and not keeps(value, schema[keyword]):
            found.append(where)
    parts = []
    if "if" in schema and not faults(schema["if"], value, root):
        parts.append((schema["then"], value, where))
    for index, item in enumerate(value if isinstance(value, list) else ()):
        parts.append((schema.get("items", {}), item, f"{where}/{index}"))
    for name, item in value.items() if isinstance(value, dict) else ():
        at = f"{where}/{name.replace('~', '~0').replace('/', '~1')}"
        others = schema.get("additionalProperties", {})
        parts.append((schema.get("properties", {}).get(name, others), item, at))
        parts.append((schema.get("propertyNames", {}), name, at))
    return found + [fault for rule, part, at in parts for fault in faults(rule, part, root, at)]


def check_document(kind, document, schemas, purpose=None):
    """Check a document by itself [1, 13]; give it with its defaults, and whether it is old.

    Of one that breaks the schema and requires what is not known here [1.1] it gives None.
    """
    legacy = kind in DOCUMENTS.values() and "format_version" not in document
    version = document.get("format_version", "2.0")
    known = isinstance(version, str) and re.fullmatch(r"2\.(0|[1-9][0-9]*)", version)
    need(known, f"{version!r} is not a version that I read", "/format_version")
    file = schemas / ("v1" if legacy else "v2") / f"{kind}.schema.json"
    schema = json.loads(file.read_text("utf-8"))
    broken = faults(schema, document, schema)
    requires = document.get("requires")
    if broken and requires and not any(where.startswith("/requires") for where in broken):
        check_requires(f"{kind}.json", document, purpose)
        if not all(feature.startswith(("plugin/", *KNOWN)) for feature in requires):
            return None, legacy
    for where in broken:
        need(False, "breaks its schema", where)
    defaults = {n: rule["default"] for n, rule in schema["properties"].items() if "default" in rule}
    return {**defaults, **document}, legacy


def check_requires(name, document, purpose):
    """Refuse what a document requires: for a purpose, or for a program that validates [13.1]."""
    for index, feature in enumerate(document.get("requires", ())):
        is_plugin = feature.startswith("plugin/") and feature != "plugin/"
        needed = purpose in PURPOSES[name]
        if name == "config.json" and feature in KNOWN:
            continue
        if purpose is None:
            needed = name != "tokenizer.json" and not is_plugin
        known = f"{feature}, known to format {document.get('format_version', '2.0')}"
        need(not needed, f"requires {known}", f"/requires/{index}")


def read_members(data):
    """Give CRC and content of the members of a `.pt` file by name [11.1]."""
    end, wide = len(data) - 22, data[-42:-38] == b"PK\x06\x07"
    disk, first, here, count, size, start, comment = struct.unpack_from("<4H2IH", data, end + 4)
    if wide:
        end -= 76
        disk, first, here, count, size, start = struct.unpack_from("<2I4Q", data, end + 16)
    entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    whole = data[end : end + 4] == (b"PK\x06\x06" if wide else b"PK\x05\x06")
    need(whole and start + size == end and not comment, "a damaged directory")
    need(here == count == len(entries) and not (disk or first), "a damaged directory")
    need(count <= 200_000 and size <= 2**26, "too large a directory")
    members, spans = {}, [(start, end)]
    folder = entries[0].orig_filename.partition("/")[0] if entries else ""
    for entry in entries:
        at, content = entry.header_offset, read_local(entry, data)
        name = entry.orig_filename.removeprefix(f"{folder}/")
        parts = [folder, *name.split("/")]
        printable = all(p.isprintable() and p not in ("", ".", "..") for p in parts)
        inside = entry.orig_filename == f"{folder}/{name}" and "\\" not in name
        need(printable and inside, "a member of a strange name")
        need(name.lower() not in {known.lower() for known in members}, "a member twice")
        members[name] = (entry.CRC, data[content : content + entry.file_size])
        spans.append((at, content + entry.file_size))
    need(all(a[1] <= b[0] for a, b in pairwise(sorted(spans))), "members that overlap")
    return members


def read_local(entry, data):
    """Compare a member's own header with the directory; give where its content begins."""
    at, known = entry.header_offset, (entry.CRC, entry.compress_size, entry.file_size)
    head = struct.unpack_from("<4s5H3I2H", data, at)
    extra_at = at + 30 + head[9]
    content = extra_at + head[10]
    need(head[0] == b"PK\x03\x04" and not entry.volume, "a member without a header")
    need((entry.compress_type, head[3]) == (0, 0), "a compressed member")
    need(entry.compress_size == entry.file_size, "a member of two sizes")
    need(not entry.flag_bits & ~0x808 and head[2] == entry.flag_bits, "an encrypted member")
    told = list(head[6:9])
    while 2**32 - 1 in told[1:] and extra_at + 4 <= content:
        kind, length = struct.unpack_from("<2H", data, extra_at)
        if kind == 1:
            told[1:] = reversed(struct.unpack_from("<2Q", data, extra_at + 4))
        extra_at += 4 + length
    name = data[at + 30 : at + 30 + head[9]].decode("utf-8", "replace")
    follow = head[2] & 8 and told == [0, 0, 0]
    agree = name == entry.orig_filename and (tuple(told) == known or follow)
    need(agree, "a member described in two ways")
    return content


STORAGES = {"Double": ("float64", 8), "Float": ("float32", 4), "Half": ("float16", 2)}
STORAGES |= {"BFloat16": ("bfloat16", 2), "Long": ("int64", 8), "Int": ("int32", 4)}
STORAGES |= {"Short": ("int16", 2), "Char": ("int8", 1), "Byte": ("uint8", 1), "Bool": ("bool", 1)}
FLOATING = ("float64", "float32", "float16", "bfloat16")
OPCODES = "MARK EMPTY_TUPLE EMPTY_LIST EMPTY_DICT NONE NEWTRUE NEWFALSE BININT GLOBAL BINPERSID"
OPCODES += " BININT1 BININT2 BINFLOAT LONG1 BINUNICODE TUPLE TUPLE1 TUPLE2 TUPLE3 BUILD APPEND"
OPCODES += " APPENDS SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET REDUCE STOP PROTO"
Kind = type("Kind", (str,), {})  # the class of a storage
Storage = type("Storage", (tuple,), {})  # class, key, number of values
Tensor = type("Tensor", (tuple,), {})  # dtype, shape, stride, offset, storage
PLAIN = {str, int, float, bool, type(None), Tensor}


class OrderedDict(dict):
    def __setstate__(self, state):
        need(set(state) == {"_metadata"}, "attributes of an object")


class Pickle(pickle._Unpickler):
    """An interpreter that builds descriptions and calls nothing but itself [11.2]."""

    def __init__(self, data):
        need(data[:2] == b"\x80\x02" and len(data) <= 2**26, "a pickle of another protocol")
        for count, (opcode, _, at) in enumerate(pickletools.genops(data)):
            known = opcode.name in OPCODES.split() and (opcode.name == "PROTO") == (at == 0)
            need(known and count <= 2_000_000, f"the opcode {opcode.name}, or too many")
        need(at == len(data) - 1, "bytes after the pickle")
        super().__init__(io.BytesIO(data))
        self.storages = {}
        self.value = self.load()
        check_values(self.value)

    def find_class(self, module, name):
        made = {"_rebuild_tensor_v2": self.tensor, "_rebuild_parameter": self.parameter}
        if module == "torch" and name.removesuffix("Storage") in STORAGES:
            return Kind(name.removesuffix("Storage"))
        known = module == "torch._utils" and name in made
        known = known or (module, name) == ("collections", "OrderedDict")
        need(known, f"the name {module}.{name}, which no tensor needs")
        return made.get(name, OrderedDict)

    def persistent_load(self, found):
        need(type(found) is tuple and len(found) == 5, "not a storage")
        word, kind, key, location, numel = found
        known = word == "storage" and type(kind) is Kind and type(numel) is int
        here = re.fullmatch(r"(?!meta\b)[a-z]+(:[0-9]+)?", location)
        here = here and re.fullmatch("[0-9]{1,20}", key, re.ASCII)
        need(known and here and 0 <= numel < 2**63, "not a storage of a file")
        storage = Storage((str(kind), key, numel))
        need(self.storages.setdefault(key, storage) == storage, "one storage in two ways")
        return storage

    def parameter(self, tensor, _, hooks):
        need(type(tensor) is Tensor and hooks == {}, "not a parameter")
        return tensor

    def tensor(self, storage, offset, shape, stride, _, hooks):
        kinds = [type(storage), type(shape), type(stride)]
        numbers = (offset, *shape, *stride)
        known = kinds == [Storage, tuple, tuple] and hooks == {} and len(shape) == len(stride) <= 64
        known = known and all(type(n) is int and 0 <= n < 2**63 for n in numbers)
        need(known, "not a tensor")
        tensor = Tensor((STORAGES[storage[0]][0], shape, stride, offset, storage))
        fits = max(end_of(tensor), math.prod(shape)) <= storage[2]
        need(fits, "a tensor that its storage does not hold")
        return tensor


def check_values(value):
    left, pending = 1_000_000, [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if type(item) in PLAIN:
            continue
        need(isinstance(item, (dict, list, tuple)) and type(item) is not Storage, "not a value")
        children, left = item, left - len(item)
        need(depth < 64 and left >= 0, "too deep or too many values")
        if isinstance(item, dict):
            children = item.values()
            index = all(type(k) is str or (type(k) is int and -(2**31) <= k < 2**31) for k in item)
            need(index, "a key that is neither text nor an index")
        pending += [(child, depth + 1) for child in children]


def end_of(tensor):
    _, shape, stride, offset, _ = tensor
    reach = sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    return offset + reach + 1 if math.prod(shape) else offset


def load(path, record=None):
    """Read a `.pt` file: its value with descriptions of tensors, and its members."""
    data = path.read_bytes()
    told = record and (record["size_bytes"], record["sha256"])
    need(told in (None, (len(data), hashlib.sha256(data).hexdigest())), "is not what was saved")
    members = read_members(data)
    for name, (told, content) in members.items():
        need(name in RECORDS or name.startswith("data/"), f"holds {name}, so no tensors")
        need(record or zlib.crc32(content) == told, "is not what its checksum says", name)
    need(members.get("byteorder", (0, b"little"))[1] == b"little", "is big-endian")
    version = members.get(".data/version") or members.get("version") or (0, b"")
    need(re.fullmatch(rb"0*([1-9]|10)\n?", version[1]), "has no version that torch reads")
    read = Pickle(members["data.pkl"][1])
    for key, (kind, _, numel) in read.storages.items():
        size = len(members.get(f"data/{key}", (0, b"?"))[1])
        need(size == numel * STORAGES[kind][1], f"the storage {key} is missing or of another size")
    return read.value, members


def materialise(value, members):
    """Replace each tensor by (dtype, shape, bytes in order)."""
    if type(value) is Tensor:
        dtype, shape, stride, offset, (kind, key, _) = value
        size, data, run = STORAGES[kind][1], members[f"data/{key}"][1], 1
        starts, dimensions = [offset], list(zip(shape, stride, strict=True))
        if dimensions and stride[-1] == 1:
            run = dimensions.pop()[0]
        for n, step in dimensions:
            starts = [start + i * step for start in starts for i in range(n)]
        return dtype, shape, b"".join(data[s * size : (s + run) * size] for s in starts)
    if isinstance(value, dict):
        return {key: materialise(item, members) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(materialise(item, members) for item in value)
    return value


def read_file(path):
    """Read any `.pt` file, of version 0 too [14.2]."""
    with reading(path.name):
        return materialise(*load(path))


def expected_of_adapter(config):
    """Give names and shapes of an adapter's tensors [8.3]."""
    rank, targets = config["adapter"]["rank"], config["adapter"]["targets"]
    joint = {"q": config["n_embd"], "k": config["n_embd"], "v": config["n_embd"]}  # of equal heads
    tensors = {}
    for name, shape in expected({**config, "adapter": None}).items():
        matrix = name.removesuffix(".weight")
        if len(shape) < 2 or not matrix.startswith("blocks."):
            continue
        if any(f".{matrix}".endswith(f".{target}") for target in targets):
            tensors |= {f"{matrix}.lora_A": (rank, shape[1]), f"{matrix}.lora_B": (shape[0], rank)}
        for part in joint if matrix.endswith(".sa.qkv") else ():
            if part in targets:
                tensors[f"{matrix}.{part}.lora_A"] = (rank, shape[1])
                tensors[f"{matrix}.{part}.lora_B"] = (joint[part], rank)
    return tensors


def expected(config):
    """Give names and shapes of the tensors [8]."""
    if config.get("adapter"):
        return expected_of_adapter(config)

    def get(name, default):
        return default if config.get(name) is None else config[name]

    config = defaultdict(lambda: None, config)  # version 1 lacks fields
    v, s, e, h = (int(config[n]) for n in ("vocab_size", "block_size", "n_embd", "n_head"))
    gated, kind, bias = config["mlp_type"] in GATED, config["block_type"], config["bias"]
    d = int(get("head_size", e // h))
    a, k = h * d, int(get("n_kv_head", h)) * d
    f = int(get("mlp_hidden", -(-(8 * e // 3) // 64) * 64 if gated else 4 * e))
    fwd = {"net.0": (f, e), "net.2": (e, f)}
    fwd = {"w_gate": (f, e), "w_up": (f, e), "w_down": (e, f)} if gated else fwd
    scaled = get("norm_weight", True)
    shifted = get("norm_bias", scaled and config["norm_type"] != "rmsnorm")
    block = {"sa.qkv": ((a + 2 * k, e), get("qkv_bias", bias))}
    if config["qk_norm"]:
        one = config["qk_norm"] == "head"
        block |= {"sa.q_norm": ((d if one else a,), shifted)}
        block |= {"sa.k_norm": ((d if one else k,), shifted)}
    block["sa.proj"] = ((e, a), get("proj_bias", bias))
    block |= {f"fwd.{n}": (shape, get("mlp_bias", not gated)) for n, shape in fwd.items()}
    block |= dict.fromkeys(NORMS.get(kind, ("ln1", "ln2")), ((e,), shifted))
    parts = {"token_embedding_table": ((v, e), False)}
    parts |= {"token_embedding_table.norm": ((e,), shifted)} if config["embedding_norm"] else {}
    if config["pos_encoding"] == "learned":
        parts["position_embedding_table"] = ((s, e), False)
    for i in range(int(config["n_layer"])):
        parts |= {f"blocks.{i}.{name}": part for name, part in block.items()}
    parts |= {"ln_f": ((e,), shifted)} if get("final_norm", kind != "post_norm") else {}
    parts |= {"lm_head": ((v, e), get("head_bias", True))}
    tensors = {}
    for name, (shape, has_bias) in parts.items():
        if scaled or len(shape) > 1:
            tensors[f"{name}.weight"] = shape
        if has_bias:
            tensors[f"{name}.bias"] = shape[:1]
    return tensors


def check_config(config):
    config = defaultdict(lambda: None, config)
    for slot, known in PARTS.items():
        need(config[slot] in (None, *known.split()), "belongs to a plugin", f"/{slot}")
    own, (width, rest) = config["head_size"], divmod(config["n_embd"], config["n_head"])
    need(own is not None or rest == 0, "does not divide n_embd", "/n_head")
    need(config["n_head"] % (config["n_kv_head"] or 1) == 0, "does not divide", "/n_kv_head")
    size, rope = config["rope_size"] or own or width, config["pos_encoding"] == "rope"
    whole = size % 2 == 0 or config["rope_size"] is not None
    need(whole or not rope, "rotates half a pair", "/rope_size")
    need(size <= (own or width), "rotates more than a head", "/rope_size")
    for name in ("rope_theta_sliding", "rope_scaling", "rope_size", "rope_pattern"):
        need(rope or config[name] is None, "is set, but nothing rotates", f"/{name}")
    for name in ("rope_theta_sliding", "window_pattern"):
        set_too = config[name] is None or config["sliding_window"] is not None
        need(set_too, "is set, but there is no window", f"/{name}")
    scaled = config["norm_weight"] is not False
    need(scaled or not config["norm_offset"], "is added to no weights", "/norm_offset")
    adapted = "adapter.lora" in (config["requires"] or ())
    need(adapted == (config["adapter"] is not None), "does not fit adapter", "/requires")
    if adapted:
        check_targets(config)
    if config["rope_scaling"] is not None:
        check_scaling(config["rope_scaling"], config["rope_theta"], size)


def check_targets(config):
    matrices = [n.removesuffix(".weight") for n in expected({**config, "adapter": None})]
    inside = [f".{name}" for name in matrices if name.startswith("blocks.")]
    for index, target in enumerate(config["adapter"]["targets"]):
        found = (
            target in "qkv" if len(target) == 1 else any(n.endswith(f".{target}") for n in inside)
        )
        need(found, "names no matrix", f"/adapter/targets/{index}")
        twice = len(target) == 1 and "qkv" in config["adapter"]["targets"]
        need(not twice, "is a part of qkv", f"/adapter/targets/{index}")


def check_scaling(scaling, theta, size):
    kind, at = scaling["kind"], "/rope_scaling"
    low, high = scaling.get("low_freq_factor"), scaling.get("high_freq_factor")
    need(kind == "yarn" or YARN | scaling == scaling | YARN, "is of another kind", at)
    need(kind == "llama3" or low is high is None, "is of another kind", at)
    need(kind != "llama3" or (low and high and low < high), "has no band", at)
    falls = scaling.get("beta_fast", 32) >= scaling.get("beta_slow", 1) and theta > 1
    need(kind != "yarn" or falls, "has no ramp", at)
    need(kind != "dynamic" or size > 2, "has no effect", at)


def check_tokenizer(tokenizer, rows):
    size = {"char": len(tokenizer["chars"] or ()), "gpt2": 50257}.get(tokenizer["token_kind"], 0)
    special, roles = tokenizer.get("special_token_encoder", {}), tokenizer.get("special_tokens", {})
    held = [special.values(), *(v if isinstance(v, list) else [v or 0] for v in roles.values())]
    need(size <= rows and all(i < rows for ids in held for i in ids), "has an id beyond the model")
    need(len(set(special.values())) == len(special), "gives an id twice", "/special_token_encoder")
    added = [i for text, i in special.items() if size != 50257 or (text, i) != ENDING]
    need(all(i >= size for i in added), "gives an id of its own away", "/special_token_encoder")
    need(roles.get("bos") or not tokenizer.get("add_bos"), "has no bos to add", "/add_bos")


def check_tensors(tensors, wanted):
    for name in {**wanted, **tensors}:
        known = name in wanted and type(tensors.get(name)) is Tensor
        need(known, "is missing, unknown or no tensor", str(name))
        dtype, shape, *_ = tensors[name]
        need(shape == wanted[name], f"has shape {shape}", name)
        need(dtype in FLOATING, f"has dtype {dtype}", name)
    spans = [(t[4][1], t[3], end_of(t), n) for n, t in tensors.items() if math.prod(t[1])]
    for one, two in pairwise(sorted(spans)):
        tied = {one[3], two[3]} == TIED and one[:3] == two[:3]
        need(one[0] != two[0] or two[1] >= one[2] or tied, f"overlaps {one[3]}", two[3])


def check_optimizer(value, parameters):
    """Check a state against the descriptions of the parameters [10]."""
    kinds = {"optimizer": str, "state": dict, "param_groups": list}
    form = isinstance(value, dict) and all(isinstance(value.get(n), kinds[n]) for n in kinds)
    need(form, "is no optimizer state")
    groups, is_adamw = value["param_groups"], value["optimizer"] == "adamw"
    for number, group in enumerate(groups):
        where = f"param_groups.{number}"
        for setting in group.values():
            parts = setting if isinstance(setting, (list, tuple)) else [setting]
            need(all(type(part) in PLAIN - {Tensor} for part in parts), "holds a tensor", where)
        needed = {"lr", "params"} | ({"betas", "eps", "weight_decay"} if is_adamw else set())
        need(needed <= set(group), "lacks a setting", where)
        other = group.get("amsgrad") or group.get("maximize")
        other = other or not group.get("decoupled_weight_decay", True)
        need(not (is_adamw and other), "updates otherwise", where)
    listed = [name for group in groups for name in group["params"]]
    need(sorted(listed) == sorted(parameters), "holds other parameters", "param_groups")
    for name, entry in value["state"].items():
        where, numbers = f"state.{name}", (int, float, bool)
        need(name in parameters, "is in no group", where)
        need(all(type(part) in (*numbers, Tensor) for part in entry.values()), "is of text", where)
        if is_adamw:
            need(set(entry) == {"step", "exp_avg", "exp_avg_sq"}, "keeps other tensors", where)
            fits = type(entry["step"]) in numbers or entry["step"][:2] == ("float32", ())
            for moment in (entry["exp_avg"], entry["exp_avg_sq"]):
                fits = fits and moment[0] in FLOATING and moment[1] == parameters[name][1]
            need(fits, "does not fit its parameter", where)


def find_files(folder, schemas):
    """Give the manifest, or None, and where each file is, by stable name [12.4]."""
    if not (folder / "manifest.json").exists():
        return None, {name: folder / name for name in STABLE if (folder / name).is_file()}
    manifest, _ = check_document("manifest", read_json(folder / "manifest.json"), schemas)
    if told := manifest["checksum"]:
        lines = (folder / "manifest.json").read_bytes().replace(b"\r\n", b"\n")
        digest = hashlib.sha256(lines.replace(told.encode(), b"0" * 64)).hexdigest()
        need(digest == told, "is not what was saved", "/checksum")
    paths = {}
    for name in manifest["files"]:
        known = FILE_NAME.fullmatch(name) and not TAGGED.fullmatch(name)
        need(known and name != "manifest.json", "is no file of a bundle", f"/files/{name}")
        waiting = folder / f"{name}.mypt-{int(manifest['generation']):06d}"
        paths[name] = waiting if waiting.is_file() else folder / name
    return manifest, {name: path for name, path in paths.items() if path.is_file()}


def find_edits(folder, schemas):
    """Give the places that were edited in each document since it was saved [7]."""
    with reading("manifest.json"):
        manifest, paths = find_files(folder, schemas)
    edits = {}
    for name in DOCUMENTS.keys() & paths.keys() & (manifest or {"files": {}})["files"].keys():
        data = paths[name].read_bytes()
        found = {hashlib.sha256(d).hexdigest() for d in (data, data.replace(b"\r\n", b"\n"))}
        if manifest["files"][name]["sha256"] in found:
            continue
        said = manifest["documents"].get(name)
        edits[name] = [""] if said is None else sorted(changes(said, read_json(paths[name])))
    return {name: places for name, places in edits.items() if places}


def changes(was, now, where=""):
    kinds = {type(was), type(now)}
    if kinds == {dict}:
        gone = object()
        for name in was | now:
            at = f"{where}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from changes(was.get(name, gone), now.get(name, gone), at)
    elif kinds == {list} and len(was) == len(now):
        for index, pair in enumerate(zip(was, now, strict=True)):
            yield from changes(*pair, f"{where}/{index}")
    elif was != now or kinds >= {bool, int}:
        yield where


def read_documents(paths, records, schemas, purpose):
    """Give the documents by name, and whether they are of version 1."""
    result = {}
    for name, kind in DOCUMENTS.items():
        with reading(name):
            is_needed = name == "config.json" or (name != "tokenizer.json" and name in records)
            need(name in paths or not is_needed, "is missing")
            if name in paths:
                found, is_first = check_document(kind, read_json(paths[name]), schemas, purpose)
                if found is None:
                    continue
                result[name] = found
                check_requires(name, found, purpose)
            if name == "config.json":
                config, legacy = result[name], is_first
                check_config(config)
            elif name == "tokenizer.json" and name in result:
                known = purpose != "generate" or result[name]["token_kind"] in ("char", "gpt2")
                need(known, "is of a plugin", "/token_kind")
                check_tokenizer(result[name], config["vocab_size"])
    return result, legacy


def read_bundle(folder, schemas, purpose=None):
    """Read a bundle: its documents and the values of its `.pt` files, or raise RefusedError.

    The purpose is "read", "generate" or "train"; a program that validates has none.
    """
    with reading("manifest.json"):
        manifest, paths = find_files(folder, schemas)
        for package, plugin in manifest["plugins"].items() if manifest else ():
            need(purpose not in plugin["needed_for"], f"needs {package}", "/plugins")
    records = manifest["files"] if manifest else {}
    result, legacy = read_documents(paths, records, schemas, purpose)
    config = result["config.json"]
    wanted = expected(config)
    with reading("model.pt"):
        need("model.pt" in paths, "is missing")
        tensors, members = load(paths["model.pt"], records.get("model.pt"))
        if legacy and isinstance(tensors.get("state_dict"), dict):
            tensors = tensors["state_dict"]
        need(isinstance(tensors, dict), "is no dict of tensors")
        if not (legacy and any(".sa.heads." in str(name) for name in tensors)):
            check_tensors(tensors, wanted)
        weights = result["model.pt"] = materialise(tensors, members)
        if config["tie_weights"] and not config.get("adapter"):
            twice = len({weights[name] for name in TIED}) > 1
            need(not twice, "differs from the embedding", "lm_head.weight")
            del wanted["lm_head.weight"]
    name = result.get("training_state.json", {}).get("optimizer_file") or "optimizer.pt"
    path = paths.get(name) or (None if manifest else folder / name)
    with reading(name):
        if path and path.is_file() and purpose in (None, "train"):
            value, members = load(path, records.get(name))
            if not legacy:
                check_optimizer(value, {n: tensors[n] for n in wanted})
            result["optimizer.pt"] = materialise(value, members)
    return result
