"""The bundles of the suite: a folder's files each, and what an implementation must find."""

import hashlib
import json

from attrs import evolve, field, frozen

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.parameter_rules import split_by_decay
from tests.support.conformance.documents import (
    ADAPTER,
    CONFIG,
    LATER,
    LORA,
    OLD_CONFIG,
    STATE,
    TOKENIZER,
    without,
)
from tests.support.conformance.ptfile import (
    archive,
    deflated,
    like_torch,
    members_of,
    shared,
    values,
)

HEAD, EMBEDDING, BIAS = "lm_head.weight", "token_embedding_table.weight", "ln_f.bias"


@frozen
class Case:
    """A bundle, and what is wrong with it.

    Attributes:
        files: Content by name.
        errors: File, place and kind of each.
        warnings: The same of what may pass.
        checksums: Whether the errors are found only by reading the weights.
        refused: What a reader that has no plugin must refuse, and nothing else: read, generate
            (with text), train.
    """

    files: dict
    errors: list = field(factory=list)
    warnings: list = field(factory=list)
    checksums: bool = False
    refused: list = field(factory=list)


def weights(config, dtype="float32"):
    shapes = expected_tensors(from_document(GPTConfig, config), BUILT_IN)
    tensors = {
        name: values(dtype, shape, 31 * number)
        for number, (name, shape) in enumerate(shapes.items())
    }
    if config.get("tie_weights"):
        tensors[HEAD] = tensors[EMBEDDING]
    return tensors


def adamw(config, rule="linear"):
    tensors = weights(config)
    if config.get("tie_weights"):
        del tensors[HEAD]
    moments = {
        name: {
            "step": values("float32", ()),
            "exp_avg": values("float32", tensor.shape, 5),
            "exp_avg_sq": values("float32", tensor.shape, 9),
        }
        for name, tensor in tensors.items()
    }
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    common = {"lr": 0.001, "betas": (0.9, 0.95), "eps": 1e-08}
    settings = [common | {"weight_decay": decay} for decay in (0.1, 0.0)]
    halves = split_by_decay(shapes, rule)
    return optimizer_document("adamw", moments, zip(halves, settings, strict=True))


def by_index(state):
    """Give a state of AdamW as MyPT and torch have it, which number its parameters."""
    order = [name for group in state["param_groups"] for name in group["params"]]
    numbers = {name: number for number, name in enumerate(order)}
    groups = [
        {**group, "params": [numbers[name] for name in group["params"]]}
        for group in state["param_groups"]
    ]
    entries = {numbers[name]: entry for name, entry in state["state"].items()}
    return {"state": dict(sorted(entries.items())), "param_groups": groups}


def rmsprop(state):
    """Give the state that torch's RMSprop has where AdamW has this one."""
    settings = {"lr": 0.01, "alpha": 0.99, "eps": 1e-08, "weight_decay": 0.0}
    return {
        **state,
        "state": {
            name: {"step": entry["step"], "square_avg": entry["exp_avg_sq"]}
            for name, entry in state["state"].items()
        },
        "param_groups": [
            {**settings, "params": group["params"]} for group in state["param_groups"]
        ],
    }


def with_rates(state):
    """Give a state whose second group is cut in two, with a learning rate each."""
    first, second = state["param_groups"]
    slow, fast = ({**second, "initial_lr": rate} for rate in (0.0001, 0.001))
    slow["params"], fast["params"] = second["params"][:1], second["params"][1:]
    return {**state, "param_groups": [{**first, "initial_lr": 0.001}, slow, fast]}


def lacking_entry(state):
    kept = {name: entry for name, entry in state["state"].items() if name != BIAS}
    return {**state, "state": kept}


def text(document):
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def pt(value):
    return archive(members_of(value))


def shareable(config=CONFIG, dtype="float32", tokenizer=TOKENIZER):
    """Give the three files that inference needs."""
    tensors = weights(config, dtype)
    return {"config.json": text(config), "tokenizer.json": text(tokenizer), "model.pt": pt(tensors)}


def complete(config=CONFIG, step=3, rule="linear"):
    """Give all files but the manifest."""
    state = STATE | {"step": step, "optimizer_file": "optimizer.pt"}
    state |= {"training_config": {"weight_decay_on": rule}}
    more = {"training_state.json": text(state), "optimizer.pt": pt(adamw(config, rule))}
    return shareable(config) | more


def manifest(files, generation=1, **more):
    records = {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    head = {"format_version": "2.0", "generation": generation, "files": records}
    return text({**head, "written_by": "the conformance suite", "plugins": {}} | more)


def committed(files, generation=1, **more):
    return files | {"manifest.json": manifest(files, generation, **more)}


def recorded(files):
    """Give a committed bundle whose manifest says what its documents said."""
    said = {name: json.loads(data) for name, data in files.items() if name.endswith(".json")}
    return committed(files, documents=said)


def sealed(files, generation=1):
    """Give a manifest with its own checksum."""
    blank = manifest(files, generation, checksum="0" * 64)
    digest = hashlib.sha256(blank).hexdigest().encode()
    return blank.replace(b'"checksum": "' + b"0" * 64, b'"checksum": "' + digest)


def tagged(files, generation):
    return {f"{name}.mypt-{generation:06d}": data for name, data in files.items()}


def model(value):
    """Give a shareable bundle with another model.pt."""
    return shareable() | {"model.pt": value if isinstance(value, bytes) else pt(value)}


def changed(**tensors):
    """Give the minimal model with tensors changed, or with None left out, by their last name."""
    return {n: t for n, t in (weights(CONFIG) | tensors).items() if t is not None}


def renamed(old, new):
    return {new if name == old else name: tensor for name, tensor in weights(CONFIG).items()}


def pickled(old, new):
    """Give a model whose pickle has other bytes in one place."""

    def change(data):
        assert old in data, old
        return data.replace(old, new, 1)

    return model(archive(members_of(weights(CONFIG), pickle=change)))


def raw(pickle):
    """Give a model whose pickle is this."""
    return model(archive({"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"}))


def reshaped(old, new):
    """Give a whole bundle whose config says something else than its weights."""
    return complete() | {"config.json": text(CONFIG | {old: new})}


def of_version_1(**files):
    config = OLD_CONFIG
    return {
        "config.json": text(config),
        "tokenizer.json": text(without(TOKENIZER, "format_version")),
    } | {name.replace("_pt", ".pt"): data for name, data in files.items()}


def per_head():
    """Give the state dict of an early release: a matrix per head, and masks."""
    tensors = {}
    for name, tensor in weights(CONFIG | {"proj_bias": True}).items():
        if not name.endswith("qkv.weight"):
            tensors[name] = tensor
            continue
        for head in range(2):
            place = f"blocks.0.sa.heads.{head}"
            tensors[f"{place}.tril"] = values("float32", (4, 4), head)
            for number, role in enumerate(("key", "query", "value")):
                tensors[f"{place}.{role}.weight"] = values("float32", (2, 4), head + number)
    return tensors


def version_1():
    state = {"step": 3, "optimizer_file": "optimizer.pt"}
    wrapped = {
        "state_dict": weights(CONFIG, "bfloat16"),
        "checkpoint_dtype": "bf16",
        "model_dtype": "float32",
    }
    legacy = text(state)
    return {
        "version_1": of_version_1(
            model_pt=like_torch(weights(CONFIG)), optimizer_pt=pt(by_index(adamw(CONFIG)))
        )
        | {"training_state.json": legacy},
        "version_1_wrapped": of_version_1(model_pt=pt(wrapped)),
        "version_1_saved_by_hand": of_version_1(model_pt=pt(weights(CONFIG)))
        | {"training_state.json": text({"step": None})},
    }


def version_0():
    """Give the contents of single files of the first releases."""
    content = {
        "model_state_dict": per_head(),
        "config": OLD_CONFIG,
        "tokenizer": without(TOKENIZER, "format_version"),
        "step": 3,
        "optimizer_state_dict": None,
    }
    return {"latest.pt": content, "gpt_step_60.pt": content | {"step": None, "tokenizer": None}}


def valid():
    modern = {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm"}
    tied = CONFIG | modern | {"tie_weights": True, "mlp_hidden": 6}
    odd = CONFIG | {"n_head": 3, "head_size": 2, "mlp_hidden": 5, "n_layer": 2, "bias": True}
    none = dict.fromkeys(["mlp_bias", "norm_bias", "head_bias"], False)
    all_biases = CONFIG | {"mlp_type": "swiglu", "mlp_hidden": 6, "mlp_bias": True, "bias": True}
    all_biases |= {"norm_type": "rmsnorm", "norm_bias": True}
    twice = weights(tied)
    twice[HEAD] = evolve(twice[EMBEDDING])
    scattered = weights(CONFIG)
    qkv = scattered["blocks.0.sa.qkv.weight"]
    scattered["blocks.0.sa.qkv.weight"] = evolve(qkv, shape=(12, 4), stride=(1, 12))
    newer = CONFIG | {"format_version": "2.7", "added_later": {"x": 1}, "plugins": {"a": {"b": 1}}}
    old, new = complete(step=3), complete(step=4)
    without_optimizer = shareable() | {"training_state.json": text(STATE)}
    bundles = {
        "minimal": shareable(),
        "complete": committed(complete()),
        "manifest_with_checksum": complete() | {"manifest.json": sealed(complete())},
        "other_line_ends": {
            name: data if name.endswith(".pt") else data.replace(b"\n", b"\r\n")
            for name, data in (complete() | {"manifest.json": sealed(complete())}).items()
        },
        "without_manifest": complete(),
        "without_tokenizer": without(shareable(), "tokenizer.json"),
        "relu": shareable(CONFIG | {"mlp_type": "relu"}),
        "gelu_tanh": shareable(CONFIG | {"mlp_type": "gelu_tanh", "attn_scale": 0.5}),
        "rope_swiglu_rmsnorm_tied": committed(complete(tied)),
        "tied_stored_twice": shareable(tied) | {"model.pt": pt(twice)},
        "own_head_size": committed(complete(odd)),
        "no_biases": shareable(CONFIG | none),
        "all_biases": shareable(all_biases),
        "swiglu_of_its_own_width": shareable(CONFIG | {"mlp_type": "swiglu"}),
        "shared_heads_with_norms": committed(
            complete(CONFIG | modern | {"n_kv_head": 1, "qk_norm": "head", "sliding_window": 2})
        ),
        "norm_of_all_queries": shareable(CONFIG | {"n_kv_head": 1, "qk_norm": "width"}),
        "norms_around": shareable(
            CONFIG | modern | {"block_type": "sandwich_norm", "norm_offset": 1, "rope_size": 2}
        ),
        "norms_behind": shareable(CONFIG | {"block_type": "res_post_norm"}),
        "norms_after": shareable(CONFIG | {"block_type": "post_norm", "mlp_type": "geglu"}),
        "parts_in_parallel": complete(CONFIG | {"block_type": "parallel", "mlp_type": "reglu"}),
        "parts_in_parallel_with_two_norms": shareable(
            CONFIG | {"block_type": "parallel_two_norms", "mlp_type": "relu2"}
        ),
        "norms_without_weights": shareable(CONFIG | {"norm_weight": False, "qk_norm": "head"}),
        "norms_with_biases_alone": shareable(CONFIG | {"norm_weight": False, "norm_bias": True}),
        "no_last_norm": shareable(CONFIG | {"final_norm": False}),
        "norm_of_the_embedding": complete(CONFIG | {"embedding_norm": True, "n_layer": 2}),
        "no_layers": shareable(CONFIG | {"n_layer": 0}),
        "eleven_layers": shareable(CONFIG | {"n_layer": 11, "mlp_hidden": 1}),
        "decay_on_matrices": complete(rule="matrices"),
        "decay_on_all": complete(rule="all"),
        "bfloat16": committed(shareable(dtype="bfloat16")),
        "float16": committed(shareable(dtype="float16")),
        "float64": shareable(dtype="float64"),
        "as_torch_writes": shareable() | {"model.pt": like_torch(weights(CONFIG))},
        "columns_first": shareable() | {"model.pt": pt(scattered)},
        "special_tokens_beyond_the_characters": shareable(
            tokenizer=TOKENIZER
            | {
                "chars": ["a", "b"],
                "special_token_encoder": {"<|end|>": 2, "<|user|>": 4},
                "special_tokens": {"eos": [2], "turn_end": [2], "user": 4, "assistant": None},
            }
        ),
        "vocabulary_smaller_than_the_model": shareable(tokenizer=TOKENIZER | {"chars": ["a"]}),
        "edited_by_hand": recorded(complete())
        | {"config.json": text(CONFIG | {"batch_size": 7, "dropout": 0.5, "device": "cuda"})},
        "another_form": recorded(complete())
        | {"config.json": json.dumps(CONFIG, sort_keys=True).encode()},
        "foreign_files": committed(complete())
        | {"notes.txt": b"mine\n", "latest.pt": b"not mypt's", ".mypt.lock": b"{}\n"},
        "waiting": old | tagged(new, 2) | {"manifest.json": manifest(new, 2)},
        "half_renamed": committed(new, 2)
        | tagged({"model.pt": new["model.pt"]}, 2)
        | {"model.pt": old["model.pt"][:100]},
        "optimizer_dropped": committed(without_optimizer, 2)
        | {"optimizer.pt": old["optimizer.pt"], "optimizer.pt.mypt-000002.dropped": b""},
        "never_committed": committed(old, 1)
        | tagged(new, 2)
        | {"manifest.json.mypt-000002": manifest(new, 2)},
        **version_1(),
    }
    cases = {name: Case(files) for name, files in bundles.items()}
    gone = [("tokenizer.json", "", "file.missing")]
    cases["without_tokenizer"] = evolve(cases["without_tokenizer"], warnings=gone)
    cases["newer_minor"] = Case(
        committed(complete() | {"config.json": text(newer)}),
        warnings=[("config.json", "/added_later", "field.unknown")],
    )
    cases["optimizer_missing"] = Case(
        without(complete(), "optimizer.pt"),
        warnings=[("training_state.json", "/optimizer_file", "state.optimizer")],
    )
    cases["version_1_per_head"] = Case(
        of_version_1(model_pt=pt(per_head())), warnings=[("model.pt", "", "legacy.heads")]
    )
    return cases | doubtful_optimizers() | edited() | requiring()


WAVES = {"mypt-waves": {"version": "1.0", "needed_for": ["read", "generate", "train"]}}
BYTES = {"mypt-bytes": {"version": "1.0", "needed_for": ["generate"]}}
GUARD = {"acme-guards": {"version": "1.0", "needed_for": ["train"]}}
ALL = ["read", "generate", "train"]


def whole(name=None, document=None, **needs):
    """Give a committed bundle with another document, whose manifest lists plugins."""
    files = complete() | ({} if name is None else {name: text(document)})
    return committed(files, **needs)


def requiring():
    """Give bundles that open, and of which some things take what a reader does not have."""
    state = STATE | {"optimizer_file": "optimizer.pt"}
    guarded = state | {"training_config": {"gold_guards": {"acme_patience": {}}}}
    guarded |= {"requires": ["plugin/acme-guards"]}
    waves = CONFIG | {"mlp_type": "waves", "requires": ["plugin/mypt-waves"]}
    own = {"format_version": "2.0", "token_kind": "bytes", "requires": ["plugin/mypt-bytes"]}
    differ = [("manifest.json", "/plugins", "manifest.requires")]
    missing = [("config.json", "/mlp_type", "plugin.missing")]
    nothing = {
        name: text(document | {"requires": []})
        for name, document in (("config.json", CONFIG), ("tokenizer.json", TOKENIZER))
    }
    digest = hashlib.sha256(shareable()["model.pt"]).hexdigest()
    beside = ADAPTER | {"adapter": LORA | {"base": "elsewhere/minimal", "base_sha256": digest}}
    return {
        "adapter_beside_its_base": Case(committed(complete(beside))),
        "adapter_that_three_files_are": Case(shareable(beside)),
        "requires_nothing": Case(shareable() | nothing),
        "plugin_tokenizer": Case(
            shareable(tokenizer={"format_version": "2.0", "token_kind": "bytes"}),
            refused=["generate"],
        ),
        "requires_a_later_tokenizer": Case(
            whole("tokenizer.json", TOKENIZER | LATER | {"added_later": 1}),
            warnings=[
                ("tokenizer.json", "/requires/0", "feature.unknown"),
                ("tokenizer.json", "/added_later", "field.unknown"),
            ],
            refused=["generate"],
        ),
        "requires_a_later_value_in_the_tokenizer": Case(
            whole("tokenizer.json", TOKENIZER | LATER | {"special_tokens": {"pad": [0]}}),
            warnings=[("tokenizer.json", "/requires/0", "feature.unknown")],
            refused=["generate"],
        ),
        "requires_a_plugin_for_text": Case(
            whole("tokenizer.json", own, plugins=BYTES), refused=["generate"]
        ),
        "requires_a_plugin_to_train": Case(
            whole("training_state.json", guarded, plugins=GUARD), refused=["train"]
        ),
        "requires_a_plugin_to_be_read": Case(
            whole("config.json", waves, plugins=WAVES), warnings=missing, refused=ALL
        ),
        "requires_a_plugin_without_a_manifest": Case(
            shareable() | {"config.json": text(waves)},
            warnings=missing,
            refused=ALL,
        ),
        "requires_a_plugin_that_the_manifest_leaves_out": Case(
            whole("training_state.json", guarded), warnings=differ, refused=["train"]
        ),
        "plugin_that_the_manifest_alone_requires": Case(
            whole(plugins=BYTES), warnings=differ, refused=["generate"]
        ),
    }


def edited():
    """Give bundles whose documents say something else than when they were saved."""
    state = STATE | {"step": 2, "optimizer_file": "optimizer.pt"}
    state |= {"training_config": {"weight_decay_on": "linear"}}
    edit = "manifest.edited"
    heads = {"config.json": text(CONFIG | {"n_head": 1, "attn_scale": 0.5})}
    return {
        "edited_heads": Case(
            recorded(complete()) | heads,
            warnings=[("config.json", "/attn_scale", edit), ("config.json", "/n_head", edit)],
        ),
        "edited_vocabulary": Case(
            recorded(complete())
            | {"tokenizer.json": text(TOKENIZER | {"chars": TOKENIZER["chars"][::-1]})},
            warnings=[
                ("tokenizer.json", f"/chars/{i}", edit)
                for i, (was, now) in enumerate(
                    zip(TOKENIZER["chars"], TOKENIZER["chars"][::-1], strict=True)
                )
                if was != now
            ],
        ),
        "edited_step": Case(
            recorded(complete()) | {"training_state.json": text(state)},
            warnings=[("training_state.json", "/step", edit)],
        ),
        "edited_without_a_record": Case(
            committed(complete()) | heads, warnings=[("config.json", "", edit)]
        ),
    }


def doubtful_optimizers():
    """Give what training goes on with, though not as the run that was saved."""
    state = adamw(CONFIG)
    first, second = state["param_groups"]
    betas = {**state, "param_groups": [{**first, "betas": (0.9, 0.999)}, second]}
    training = {"training_config": {"optimizer": "acme_sgd"}}
    mine = text(STATE | {"step": 3, "optimizer_file": "optimizer.pt"} | training)
    return {
        "optimizer_with_rates": Case(complete() | {"optimizer.pt": pt(with_rates(state))}),
        "optimizer_lacks_an_entry": Case(
            complete() | {"optimizer.pt": pt(lacking_entry(state))},
            warnings=[("optimizer.pt", "state", "optimizer.entry")],
        ),
        "optimizer_of_other_betas": Case(
            complete() | {"optimizer.pt": pt(betas)},
            warnings=[("optimizer.pt", "param_groups.0.betas", "optimizer.settings")],
        ),
        "optimizer_of_another_decay": Case(
            complete() | {"optimizer.pt": pt(adamw(CONFIG, "all"))},
            warnings=[("optimizer.pt", "param_groups.0.weight_decay", "optimizer.settings")],
        ),
        "optimizer_of_another_name": Case(
            complete() | {"training_state.json": mine},
            warnings=[("optimizer.pt", "optimizer", "optimizer.other")],
        ),
        "optimizer_of_a_plugin": Case(
            complete() | {"training_state.json": mine, "optimizer.pt": pt(of_plugin())},
            warnings=[("optimizer.pt", "optimizer", "optimizer.unknown")],
        ),
    }


def of_plugin():
    """Give the state of an optimizer that no reader of the suite knows, of two rules."""
    names = [*weights(CONFIG)]
    whole = {name: {"momentum": values("float32", (2, 3)), "count": 4} for name in names[:2]}
    factored = {name: {"rows": values("float16", (7,))} for name in names[2:4]}
    groups = [
        {"name": "whole", "lr": 0.1, "nesterov": True, "params": names[:2]},
        {"name": "factored", "lr": 0.01, "scale": (None, 0.5), "params": names[2:]},
    ]
    return {"optimizer": "acme_sgd", "state": {**whole, **factored}, "param_groups": groups}


def bad(files, *errors, **more):
    return Case(
        files,
        errors=[error if len(error) == 3 else ("model.pt", *error) for error in errors],
        **more,
    )


def invalid():
    return {
        **wrong_files(),
        **wrong_tensors(),
        **wrong_optimizers(),
        **wrong_archives(),
        **wrong_pickles(),
    }


def wrong_files():
    saved = committed(complete())
    special = {"format_version": "2.0", "token_kind": "char", "chars": ["a"]}
    tokenizer = [("tokenizer.json", "/chars", "tokenizer.size")]
    return {
        "empty": bad({"notes.txt": b"nothing here\n"}, ("", "", "file.missing")),
        "no_config": bad(without(shareable(), "config.json"), ("config.json", "", "file.missing")),
        "no_model": bad(without(shareable(), "model.pt"), ("model.pt", "", "file.missing")),
        "model_listed_but_gone": bad(without(saved, "model.pt"), ("model.pt", "", "file.missing")),
        "state_listed_but_gone": bad(
            without(saved, "training_state.json"), ("training_state.json", "", "file.missing")
        ),
        "model_not_listed": bad(
            saved | {"manifest.json": manifest(without(complete(), "model.pt"))},
            ("model.pt", "", "file.missing"),
        ),
        "config_not_json": bad(saved | {"config.json": b"{"}, ("config.json", "", "json")),
        "config_of_version_3": bad(
            saved | {"config.json": text(CONFIG | {"format_version": "3.0"})},
            ("config.json", "/format_version", "version.newer"),
        ),
        "state_of_version_3": bad(
            saved | {"training_state.json": text(STATE | {"format_version": "3.0"})},
            ("training_state.json", "/format_version", "version.newer"),
        ),
        "requires_a_later_config": bad(
            whole("config.json", CONFIG | LATER | {"n_layer": 7}),
            ("config.json", "/requires/0", "feature.unknown"),
            refused=ALL,
        ),
        "requires_a_later_state": bad(
            whole("training_state.json", STATE | LATER | {"optimizer_file": "gone.pt"}),
            ("training_state.json", "/requires/0", "feature.unknown"),
            refused=["train"],
        ),
        "requires_a_later_value_in_the_config": bad(
            whole("config.json", CONFIG | LATER | {"qk_norm": "per_head"}),
            ("config.json", "/requires/0", "feature.unknown"),
            refused=ALL,
        ),
        "requires_a_later_value_in_the_state": bad(
            whole("training_state.json", STATE | LATER | {"training_config": {"amp_dtype": "a"}}),
            ("training_state.json", "/requires/0", "feature.unknown"),
            refused=["train"],
        ),
        "manifest_of_version_3": bad(
            saved | {"manifest.json": manifest(complete(), format_version="3.0")},
            ("manifest.json", "/format_version", "version.newer"),
        ),
        "manifest_empty": bad(
            complete() | {"manifest.json": b"{}"},
            *(
                ("manifest.json", f"/{n}", "schema.required")
                for n in ("format_version", "generation", "files")
            ),
        ),
        "manifest_with_a_wrong_checksum": bad(
            complete()
            | {"manifest.json": sealed(complete()).replace(b'"generation": 1', b'"generation": 2')},
            ("manifest.json", "/checksum", "manifest.checksum"),
        ),
        "manifest_cut_off": bad(
            complete() | {"manifest.json": saved["manifest.json"][:40]},
            ("manifest.json", "", "json"),
        ),
        "optimizer_elsewhere": bad(
            complete()
            | {"training_state.json": text(STATE | {"optimizer_file": "../other/optimizer.pt"})},
            ("training_state.json", "/optimizer_file", "schema.pattern"),
        ),
        "too_many_characters": Case(
            shareable(tokenizer=TOKENIZER | {"chars": list("abcdef")}), errors=tokenizer
        ),
        "gpt2_in_a_small_model": bad(
            shareable(tokenizer={"format_version": "2.0", "token_kind": "gpt2"}),
            ("tokenizer.json", "/token_kind", "tokenizer.size"),
        ),
        "special_token_beyond_the_model": bad(
            shareable(tokenizer=special | {"special_token_encoder": {"<a/b>": 5}}),
            ("tokenizer.json", "/special_token_encoder/<a~1b>", "tokenizer.size"),
        ),
        "two_special_tokens_of_one_id": bad(
            shareable(tokenizer=special | {"special_token_encoder": {"<a>": 4, "<b>": 4}}),
            ("tokenizer.json", "/special_token_encoder/<b>", "tokenizer.twice"),
        ),
        "special_token_with_the_id_of_a_character": bad(
            shareable(tokenizer=TOKENIZER | {"special_token_encoder": {"<b>": 3}}),
            ("tokenizer.json", "/special_token_encoder/<b>", "tokenizer.taken"),
        ),
        "a_role_beyond_the_model": bad(
            shareable(tokenizer=TOKENIZER | {"special_tokens": {"eos": [4, 5], "pad": 6}}),
            ("tokenizer.json", "/special_tokens/eos/1", "tokenizer.role"),
            ("tokenizer.json", "/special_tokens/pad", "tokenizer.role"),
        ),
        "a_bos_to_add_that_is_none": bad(
            shareable(tokenizer=TOKENIZER | {"add_bos": True}),
            ("tokenizer.json", "/add_bos", "tokenizer.role"),
        ),
        "size_differs": bad(
            saved | {"optimizer.pt": saved["optimizer.pt"] + b"\0"},
            ("optimizer.pt", "", "archive"),
            ("optimizer.pt", "", "manifest.size"),
        ),
        "mixture_of_two_saves": bad(
            saved | {"model.pt": pt(changed(**{HEAD: values("float32", (5, 4), 1)}))},
            ("model.pt", "", "manifest.digest"),
            checksums=True,
        ),
    }


def wrong_tensors():
    small = values("float32", (5, 4))
    overlapping = evolve(values("float32", (24,)), shape=(5, 4), held=24)
    after = shared(overlapping, offset=4)
    fix = "config.mismatch"
    tied = CONFIG | {"tie_weights": True}
    lora = shareable(ADAPTER)
    other = ADAPTER | {"adapter": LORA | {"rank": 3}}
    first = "blocks.0.sa.qkv.q.lora_A"
    of_adapter = {name: tensor for name, tensor in weights(ADAPTER).items() if name != first}
    return {
        "adapter_of_another_rank": bad(
            lora | {"config.json": text(other)}, ("config.json", "/adapter/rank", fix)
        ),
        "adapter_with_a_tensor_missing": bad(
            lora | {"model.pt": pt(of_adapter)}, (first, "tensor.missing")
        ),
        "n_layer_changed": bad(reshaped("n_layer", 2), ("config.json", "/n_layer", fix)),
        "n_embd_changed": bad(reshaped("n_embd", 6), ("config.json", "/n_embd", fix)),
        "block_size_changed": bad(reshaped("block_size", 5), ("config.json", "/block_size", fix)),
        "shared_heads_changed": bad(reshaped("n_kv_head", 1), ("config.json", "/n_kv_head", fix)),
        "block_type_changed": bad(
            reshaped("block_type", "parallel"), ("config.json", "/block_type", fix)
        ),
        "norm_of_queries_changed": bad(
            reshaped("qk_norm", "head"), ("config.json", "/qk_norm", fix)
        ),
        "head_bias_changed": bad(reshaped("head_bias", False), ("config.json", "/head_bias", fix)),
        "bias_changed": bad(reshaped("bias", True), ("config.json", "/bias", fix)),
        "tensor_missing": bad(
            model(changed(**{"ln_f.weight": None})), ("ln_f.weight", "tensor.missing")
        ),
        "tensor_too_many": bad(model(changed(extra=small)), ("extra", "tensor.unexpected")),
        "tensor_renamed": bad(
            model(renamed("ln_f.weight", "ln_g.weight")),
            ("ln_f.weight", "tensor.missing"),
            ("ln_g.weight", "tensor.unexpected"),
        ),
        "tensor_of_another_shape": bad(
            model(changed(**{"ln_f.weight": values("float32", (2, 2))})),
            ("ln_f.weight", "tensor.shape"),
        ),
        "tensor_of_whole_numbers": bad(
            model(changed(**{"ln_f.weight": values("int64", (4,))})),
            ("ln_f.weight", "tensor.dtype"),
        ),
        "tensors_that_overlap": bad(
            model(changed(**{EMBEDDING: overlapping, HEAD: after})), (HEAD, "tensor.shared")
        ),
        "tied_but_different": bad(
            shareable(tied) | {"model.pt": pt(weights(CONFIG))},
            (HEAD, "tensor.tied"),
            checksums=True,
        ),
        "of_another_program": bad(model({"transformer.wte.weight": small}), ("", "tensor.foreign")),
        "no_tensors_at_all": bad(model({}), ("", "tensor.foreign")),
        "a_list_of_tensors": bad(model([small]), ("", "tensors")),
        "a_dict_in_the_dict": bad(model(changed(more={"a": small})), ("more", "tensors")),
    }


def wrong_optimizers():
    whole = adamw(CONFIG)
    entry = whole["state"][BIAS]
    first, second = whole["param_groups"]

    def entry_with(**changes):
        changed = {key: value for key, value in {**entry, **changes}.items() if value is not None}
        return {**whole, "state": {**whole["state"], BIAS: changed}}

    def second_with(**changes):
        return {**whole, "param_groups": [first, {**second, **changes}]}

    place, group = f"state.{BIAS}", "param_groups.1"
    wide, others = values("float32", (7, 7)), [n for n in second["params"] if n != BIAS]
    unknown = {**of_plugin(), "param_groups": [{"lr": 0.1, "params": ["x", *weights(CONFIG)]}]}
    cases = {
        "of_another_form": ({"moments": []}, ("", "form")),
        "without_its_name": ({k: v for k, v in whole.items() if k != "optimizer"}, ("", "form")),
        "of_another_shape": (
            entry_with(exp_avg=wide, exp_avg_sq=wide),
            (f"{place}.exp_avg", "shape"),
            (f"{place}.exp_avg_sq", "shape"),
        ),
        "of_another_dtype": (
            entry_with(exp_avg=values("int64", entry["exp_avg"].shape)),
            (f"{place}.exp_avg", "dtype"),
        ),
        "with_steps_of_another_dtype": (
            entry_with(step=values("int64", ())),
            (f"{place}.step", "dtype"),
        ),
        "without_second_moments": (entry_with(exp_avg_sq=None), (place, "form")),
        "with_a_tensor_of_no_adamw": (entry_with(max_exp_avg_sq=wide), (place, "form")),
        "with_a_text": (entry_with(step="3"), (f"{place}.step", "form")),
        "without_its_group": (
            {**whole, "param_groups": [first]},
            *((f"state.{name}", "form") for name in second["params"]),
        ),
        "without_a_parameter": (
            {**lacking_entry(whole), "param_groups": [first, {**second, "params": others}]},
            ("param_groups", "groups"),
        ),
        "with_a_parameter_twice": (
            second_with(params=[*second["params"], BIAS]),
            (group, "groups"),
        ),
        "of_an_unknown_parameter": (
            second_with(params=[*second["params"], "blocks.9.ln1.weight"]),
            (group, "groups"),
        ),
        "of_a_plugin_for_another_model": (unknown, ("param_groups.0", "groups")),
        "with_a_tensor_for_a_setting": (second_with(eps=wide), (f"{group}.eps", "form")),
        "without_a_setting": (
            {
                **whole,
                "param_groups": [first, {k: v for k, v in second.items() if k != "weight_decay"}],
            },
            (group, "form"),
        ),
        "of_adam": (second_with(decoupled_weight_decay=False), (group, "algorithm")),
        "with_amsgrad": (second_with(amsgrad=True), (group, "algorithm")),
        "that_maximizes": (second_with(maximize=True), (group, "algorithm")),
        "of_another_rule": (
            rmsprop(whole),
            ("param_groups.0", "algorithm"),
            (group, "algorithm"),
        ),
    }
    return {
        f"optimizer_{name}": bad(
            complete() | {"optimizer.pt": pt(state)},
            *(("optimizer.pt", where, f"optimizer.{kind}") for where, kind in errors),
        )
        for name, (state, *errors) in cases.items()
    }


def wrong_archives():
    members = members_of(weights(CONFIG))
    good = archive(members)
    pairs = list(members.items())
    flipped = bytearray(good)
    flipped[good.index(members["data/3"], good.index(b"archive/data/3"))] ^= 1
    local = bytearray(good)
    local[good.index(b"archive/data/3") - 12] ^= 1  # its size in the header before it
    directory = bytearray(good)
    directory[good.rindex(b"archive/data/3") - 4] ^= 64  # where its header is, in the directory
    problem = ("", "archive")

    def having(name, content=b"x"):
        return model(archive([*pairs, (name, content)]))

    return {
        "not_an_archive": bad(model(b"hello, world\n" * 9), problem),
        "empty_file": bad(model(b""), problem),
        "cut_off": bad(model(good[:-30]), problem),
        "cut_in_half": bad(model(good[: len(good) // 2]), problem),
        "something_after_the_end": bad(model(good + b"\0"), problem),
        "something_before_the_begin": bad(model(b"#!/bin/sh\n" + good), problem),
        "of_torch_before_1_6": bad(model(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), problem),
        "compressed": bad(model(deflated(members)), problem),
        "member_twice": bad(having("data/3"), problem),
        "member_twice_in_other_case": bad(having("DATA/3"), problem),
        "member_outside_of_the_folder": bad(having("../../etc/passwd"), problem),
        "member_with_a_backslash": bad(having("data\\3"), problem),
        "two_folders": bad(
            model(archive(members).replace(b"archive/version", b"brchive/version")), problem
        ),
        "headers_disagree": bad(model(bytes(local)), problem),
        "directory_points_elsewhere": bad(model(bytes(directory)), problem),
        "code_inside": bad(having("code/run.py"), ("", "tensors")),
        "no_pickle": bad(model(archive(pairs[1:])), ("", "tensors")),
        "big_endian": bad(model(archive(members | {"byteorder": b"big"})), ("", "tensors")),
        "no_version": bad(model(archive(without(members, "version"))), ("", "tensors")),
        "absurd_version": bad(model(archive(members | {"version": b"77\n"})), ("", "tensors")),
        "storage_missing": bad(
            model(archive(without(members, "data/3"))), ("blocks.0.sa.proj.weight", "tensors")
        ),
        "storage_too_short": bad(
            model(archive(members | {"data/3": members["data/3"][:-4]})),
            ("blocks.0.sa.proj.weight", "tensors"),
        ),
        "one_bit_flipped": bad(
            model(bytes(flipped)), ("data/3", "archive.checksum"), checksums=True
        ),
    }


def wrong_pickles():
    key = b"X\x01\x00\x00\x003"  # the key of the storage "3"
    system = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R."
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n"
    deep = b"\x80\x02" + b"](" * 100 + b"e" * 100 + b"."
    shape = b"(K\x04K\x04t(K\x04K\x01t"

    def kind(slug, where=""):
        return (where, f"pickle.{slug}")

    return {
        "pickle_calls_the_system": bad(raw(system), kind("global")),
        "pickle_names_a_builtin": bad(raw(b"\x80\x02cbuiltins\neval\n."), kind("global")),
        "pickle_by_stack_global": bad(
            raw(b"\x80\x02X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93."), kind("opcode")
        ),
        "pickle_by_inst": bad(raw(b"\x80\x02(ios\nsystem\n."), kind("opcode")),
        "pickle_of_protocol_4": bad(raw(b"\x80\x04}."), kind("protocol")),
        "pickle_with_an_extension": bad(raw(b"\x80\x02\x82\x01."), kind("opcode")),
        "pickle_sparse_tensor": bad(
            raw(b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n."), kind("global")
        ),
        "pickle_meta_tensor": bad(
            model(pt(changed(**{HEAD: evolve(values("float32", (5, 4)), location="meta")}))),
            kind("storage"),
        ),
        "pickle_cut_off": bad(raw(b"\x80\x02}("), kind("malformed")),
        "pickle_empty": bad(raw(b""), kind("protocol")),
        "pickle_with_bytes_after_it": bad(raw(b"\x80\x02}.}."), kind("malformed")),
        "pickle_too_deep": bad(raw(deep), kind("limit")),
        "pickle_that_holds_itself": bad(raw(b"\x80\x02]q\x00h\x00a."), kind("limit")),
        "pickle_key_of_another_type": bad(raw(b"\x80\x02}(NNu."), kind("key")),
        "pickle_sets_attributes": bad(raw(b"\x80\x02}}(X\x01\x00\x00\x00aNub."), kind("call")),
        "pickle_value_is_a_function": bad(raw(b"\x80\x02" + rebuild + b"."), kind("global")),
        "pickle_storage_of_a_path": bad(pickled(key, b"X\x04\x00\x00\x00../3"), kind("storage")),
        "pickle_tensor_beyond_its_storage": bad(
            pickled(b"tQK\x00" + shape, b"tQK\x01" + shape), kind("tensor")
        ),
        "pickle_tensor_of_a_negative_stride": bad(
            pickled(b"tQK\x00" + shape, b"tQK\x00(K\x04K\x04t(J\xff\xff\xff\xffK\x01t"),
            kind("tensor"),
        ),
        "pickle_tensor_larger_than_its_storage": bad(
            model(
                pt(
                    changed(
                        **{
                            HEAD: evolve(
                                values("float32", (1,)), shape=(5, 4), stride=(0, 0), held=1
                            )
                        }
                    )
                )
            ),
            kind("tensor"),
        ),
        "pickle_storage_of_a_huge_size": bad(
            model(pt(changed(**{HEAD: evolve(values("float32", (5, 4)), held=2**61)}))),
            (HEAD, "tensors"),
        ),
    }
