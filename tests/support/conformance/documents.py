"""The JSON documents of the suite: what is in each, and what an implementation must find."""

CONFIG = {
    "format_version": "2.0",
    "block_size": 4,
    "vocab_size": 5,
    "n_embd": 4,
    "n_head": 2,
    "n_layer": 1,
}
OLD_CONFIG = {name: value for name, value in CONFIG.items() if name != "format_version"}
OLD_CONFIG |= {"batch_size": 2, "dropout": 0.0, "bias": False, "device": "cpu"}
TURNING = CONFIG | {"pos_encoding": "rope"}
DYNAMIC = {"kind": "dynamic", "factor": 2, "original_block_size": 2}
LORA = {"type": "lora", "rank": 2, "alpha": 4.0, "targets": ["q", "v", "net.0"]}
LORA |= {"base": "base", "base_sha256": "ab" * 32}
ADAPTER = CONFIG | {"requires": ["adapter.lora"], "adapter": LORA}
YARN = DYNAMIC | {"kind": "yarn"}
LLAMA3 = DYNAMIC | {"kind": "llama3", "low_freq_factor": 1, "high_freq_factor": 4}
STATE = {"format_version": "2.0", "step": 3}
TOKENIZER = {"format_version": "2.0", "token_kind": "char", "chars": ["a", "b", "c", "d", "e"]}
LATER = {"format_version": "2.1", "requires": ["sliding_window_2"]}
FILE = {"size_bytes": 12, "sha256": "0" * 64}
MANIFEST = {"format_version": "2.0", "generation": 1, "files": {"model.pt": FILE}}
EVENT = {"event": "notice", "timestamp": "2026-02-09T14:30:00.123456", "message": "hello"}
EVALUATION = {
    "event": "eval",
    "iter": 350,
    "timestamp": "2026-02-09T14:45:12.654321",
    "elapsed_s": 912.5,
    "tokens_processed": 34406400,
    "progress_pct": 0.47,
    "lr": 1.4e-05,
    "phase": "default",
    "val_loss": 4.123456,
    "eval_duration_s": 12.3,
}
METADATA = {"total_tokens": 10, "train_shards": 1, "val_shards": 1, "tokens_per_shard": 8}


def without(document, *names):
    return {name: value for name, value in document.items() if name not in names}


# kind/name -> document
VALID = {
    "config/minimal": CONFIG,
    "config/every_field": CONFIG
    | {
        "batch_size": 1,
        "dropout": 0.5,
        "bias": True,
        "device": "cuda:1",
        "tie_weights": True,
        "pos_encoding": "rope",
        "attention_type": "causal",
        "mlp_type": "swiglu",
        "norm_type": "rmsnorm",
        "block_type": "pre_norm",
        "rope_theta": 500000,
        "rope_scale": 2.5,
        "head_size": 6,
        "mlp_hidden": 7,
        "attn_scale": 0.5,
        "norm_eps": 1e-8,
        "qkv_bias": True,
        "proj_bias": False,
        "mlp_bias": True,
        "norm_bias": True,
        "head_bias": False,
        "n_kv_head": 1,
        "embedding_type": "token",
        "head_type": "linear",
        "stack_type": "sequential",
        "rope_theta_sliding": 10,
        "rope_scaling": LLAMA3,
        "rope_size": 4,
        "rope_pattern": "RRN",
        "sliding_window": 3,
        "window_pattern": "SF",
        "attn_soft_cap": 50,
        "qk_norm": "head",
        "norm_weight": True,
        "norm_offset": 1,
        "final_norm": True,
        "embedding_norm": True,
        "embedding_scale": 2,
        "residual_scale": 0.5,
        "logit_scale": 0.25,
        "logit_soft_cap": 30.5,
        "plugins": {"a-plugin": {"anything": [1, {"deep": None}]}},
    },
    "config/nulls": CONFIG
    | dict.fromkeys(
        [
            "device",
            "head_size",
            "mlp_hidden",
            "attn_scale",
            "norm_eps",
            "qkv_bias",
            "proj_bias",
            "mlp_bias",
            "norm_bias",
            "head_bias",
            "n_kv_head",
            "rope_theta_sliding",
            "rope_scaling",
            "rope_size",
            "rope_pattern",
            "sliding_window",
            "window_pattern",
            "attn_soft_cap",
            "qk_norm",
            "norm_weight",
            "final_norm",
            "logit_soft_cap",
        ]
    ),
    "config/scaled_by_yarn": TURNING
    | {"rope_scaling": {**YARN, "beta_fast": 1, "truncate": False}},
    "config/scaled_by_the_length": TURNING | {"rope_scaling": DYNAMIC, "head_size": 4},
    "config/no_layer_turns": TURNING | {"rope_pattern": "N"},
    "config/a_part_of_each_head_turns": TURNING | {"head_size": 5, "rope_size": 4},
    "config/three_values_turn": TURNING | {"head_size": 4, "rope_size": 3},
    "config/norms_with_biases_alone": CONFIG | {"norm_weight": False, "norm_bias": True},
    "config/whole_numbers_written_as_floats": CONFIG | {"n_layer": 1.0, "n_embd": 4e0},
    "config/no_layers": CONFIG | {"n_layer": 0},
    "config/head_size_instead_of_a_divisor": CONFIG | {"n_head": 3, "head_size": 2},
    "config/fields_that_mypt_wrote": CONFIG | {"use_loss_mask": False, "save_dtype": "bf16"},
    "config/requires_nothing": CONFIG | {"requires": []},
    "config/requires_a_plugin": CONFIG | {"requires": ["plugin/mypt-waves"]},
    "config/adapter": ADAPTER,
    "config/adapter_of_everything": ADAPTER
    | {"adapter": LORA | {"targets": ["qkv", "proj", "net.0", "net.2"], "dropout": 0.5}},
    "config/no_adapter": CONFIG | {"adapter": None},
    "config/version_1": OLD_CONFIG,
    "config/version_1_modern": OLD_CONFIG
    | {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm", "tie_weights": True}
    | {"save_dtype": None, "pad_token_id": None, "neftune_alpha": 0.0, "head_size": 2},
    "training_state/minimal": STATE,
    "training_state/complete": STATE
    | {
        "optimizer_file": "optimizer.pt",
        "tokens_processed": 1024,
        "elapsed_s": 1.5,
        "training_config": {
            "max_iters": 10,
            "warmup_iters": 0.1,
            "weight_decay_on": "matrices",
            "gold_guards": {"trend": False, "overfit": {"ratio": 4}},
        },
        "data": {"source": "a.txt", "sha256": "a" * 64, "train_tokens": 90, "val_tokens": 10},
        "gold": {"best_val_loss": 1.25, "best_step": 2, "guards": {"trend": {"rises": 1}}},
        "scaler": {"scale": 65536.0},
        "exact": False,
        "inexact_reasons": ["the optimizer's state was missing"],
        "plugins": {"a-plugin": {}},
        "requires": ["plugin/a-plugin"],
    },
    "tokenizer/newer_minor_hugging_face": TOKENIZER
    | {"format_version": "2.1", "hugging_face": {"special_tokens_map": {"eos_token": "b"}}},
    "training_state/provenance": STATE
    | {
        "provenance": {
            "start_step": 2,
            "command": ["mypt", "train", "--model_name", "a"],
            "versions": {"python": "3.13.1"},
            "git": {"commit": "a" * 40, "dirty": False},
            "config_sha256": "b" * 64,
        },
        "earlier_runs": [{"start_step": 0}, {"start_step": 1, "command": None, "git": None}],
    },
    "training_state/version_1": {"step": 3, "optimizer_file": "optimizer.pt"},
    "training_state/version_1_by_hand": {"step": None},
    "training_state/version_1_tied": {"step": 0, "source_model": "a", "note": "tied"},
    "tokenizer/char": TOKENIZER,
    "tokenizer/beyond_the_basic_plane": TOKENIZER | {"chars": ["\n", "é", "𝄞", "\u0000"]},
    "tokenizer/gpt2": {"format_version": "2.0", "token_kind": "gpt2"},
    "tokenizer/special_tokens": {
        "format_version": "2.0",
        "token_kind": "gpt2",
        "special_token_encoder": {"<myPT_system>": 50257, "</myPT_system>": 50258},
    },
    "tokenizer/special_tokens_of_a_plugin": {
        "format_version": "2.0",
        "token_kind": "bytes",
        "special_token_encoder": {"<|end|>": 256},
        "special_tokens": {"turn_end": [256], "system": 3, "user": None, "assistant": 5},
    },
    "tokenizer/roles_and_templates": TOKENIZER
    | {
        "special_tokens": {"bos": [1], "eos": [2, 0], "pad": None, "unk": 3, "turn_end": [0]},
        "add_bos": True,
        "chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
        "additional_chat_templates": {"tool_use": ""},
    },
    "tokenizer/roles_that_are_left_out": TOKENIZER | {"special_tokens": {}, "add_bos": False},
    "tokenizer/of_a_plugin": {
        "format_version": "2.0",
        "token_kind": "bytes",
        "plugins": {"mypt-bytes": {"rows": 256}},
        "requires": ["plugin/mypt-bytes"],
    },
    "tokenizer/version_1": {"token_kind": "gpt2", "chars": None, "base_vocab_size": 50257},
    "manifest/minimal": MANIFEST,
    "manifest/complete": MANIFEST
    | {
        "generation": 12,
        "files": {"config.json": FILE, "model.pt": FILE, "notes": FILE},
        "written_by": "another program 1.0",
        "plugins": {"mypt-bytes": {"version": "0.1", "needed_for": ["read", "train"]}},
        "documents": {"config.json": CONFIG, "notes": {}},
    },
    "preset/empty": {},
    "preset/complete": without(CONFIG, "format_version")
    | {"name": "Tiny", "description": "For tests", "tokenization": "char", "learning_rate": 0.001},
    "log_event/notice": EVENT,
    "log_event/eval": EVALUATION | {"train_loss": None, "eval_general": 4.2, "eval_code": None},
    "log_event/early_eval": {"iter": 0, "val_loss": 4.5223, "eval_general": 4.5},
    "log_event/of_a_later_version": {"event": "something_new", "anything": [1]},
    "dataset_metadata/version_1": METADATA | {"vocab_size": 5, "input_files": ["a.txt"]},
    "dataset_metadata/version_2": METADATA | {"format_version": "2.0", "val_fraction": 0.1},
}

# kind/name -> document, pointer and kind of each warning
WARNED = {
    "config/newer_minor": (
        CONFIG | {"format_version": "2.9", "added_later": {"deep": [1, 2]}},
        [("/added_later", "field.unknown")],
    ),
    "config/newer_minor_that_requires_nothing_new": (
        CONFIG | {"format_version": "2.1", "sliding_window_2": 4, "requires": []},
        [("/sliding_window_2", "field.unknown")],
    ),
    "config/misspelt": (CONFIG | {"n_layers": 3}, [("/n_layers", "field.unknown")]),
    "training_state/unknown_deep": (
        STATE | {"training_config": {"max_iter": 5}},
        [("/training_config/max_iter", "field.unknown")],
    ),
    "manifest/unknown_in_a_record": (
        MANIFEST | {"files": {"model.pt": FILE | {"crc32": 1}}},
        [("/files/model.pt/crc32", "field.unknown")],
    ),
}

MISSING, TYPE, LOW = "schema.required", "schema.type", "schema.minimum"
ENUM, ROPE, UNUSED = "schema.enum", "config.rope", "config.unused"
# kind/name -> document, pointer and kind of each error
INVALID = {
    "config/newer_major": (
        CONFIG | {"format_version": "3.0"},
        [("/format_version", "version.newer")],
    ),
    "config/no_version": (
        CONFIG | {"format_version": "two"},
        [("/format_version", "version.unknown")],
    ),
    "config/leading_zero": (
        CONFIG | {"format_version": "2.01"},
        [("/format_version", "version.unknown")],
    ),
    "config/version_as_number": (CONFIG | {"format_version": 2.0}, [("/format_version", TYPE)]),
    "config/missing_width": (without(CONFIG, "n_embd"), [("/n_embd", MISSING)]),
    "config/two_missing": (
        without(CONFIG, "n_layer", "block_size"),
        [("/block_size", MISSING), ("/n_layer", MISSING)],
    ),
    "config/text_for_number": (CONFIG | {"n_layer": "1"}, [("/n_layer", TYPE)]),
    "config/fraction": (CONFIG | {"n_head": 1.5}, [("/n_head", TYPE)]),
    "config/true_for_number": (CONFIG | {"n_head": True}, [("/n_head", TYPE)]),
    "config/zero_width": (CONFIG | {"n_embd": 0}, [("/n_embd", LOW)]),
    "config/too_many_layers": (CONFIG | {"n_layer": 10**9}, [("/n_layer", "schema.maximum")]),
    "config/dropout_of_one": (CONFIG | {"dropout": 1}, [("/dropout", "schema.exclusiveMaximum")]),
    "config/theta_of_zero": (
        CONFIG | {"rope_theta": 0},
        [("/rope_theta", "schema.exclusiveMinimum")],
    ),
    "config/null_bias": (CONFIG | {"bias": None}, [("/bias", TYPE)]),
    "config/part_in_capitals": (CONFIG | {"mlp_type": "GELU"}, [("/mlp_type", "schema.pattern")]),
    "config/unknown_part": (CONFIG | {"mlp_type": "mixture"}, [("/mlp_type", "config.part")]),
    "config/plugins_as_a_list": (CONFIG | {"plugins": []}, [("/plugins", TYPE)]),
    "config/plugin_with_a_slash": (
        CONFIG | {"plugins": {"a/b": {}}},
        [("/plugins/a~1b", "schema.pattern")],
    ),
    "config/adapter_that_is_not_required": (
        CONFIG | {"adapter": LORA},
        [("/requires", "config.adapter")],
    ),
    "config/adapter_required_and_absent": (
        CONFIG | {"requires": ["adapter.lora"]},
        [("/requires", "config.adapter")],
    ),
    "config/adapter_of_no_matrix": (
        ADAPTER | {"adapter": LORA | {"targets": ["w_up", "net.0"]}},
        [("/adapter/targets/0", "adapter.target")],
    ),
    "config/adapter_of_a_part_twice": (
        ADAPTER | {"adapter": LORA | {"targets": ["qkv", "v"]}},
        [("/adapter/targets/1", "adapter.target")],
    ),
    "config/adapter_without_rank": (
        ADAPTER | {"adapter": {k: v for k, v in LORA.items() if k != "rank"}},
        [("/adapter/rank", "schema.required")],
    ),
    "config/adapter_of_another_type": (
        ADAPTER | {"adapter": LORA | {"type": "dora"}},
        [("/adapter/type", "schema.enum")],
    ),
    "config/requires_a_later_version": (
        CONFIG | LATER | {"sliding_window_2": 4},
        [("/requires/0", "feature.unknown")],
    ),
    "config/requires_a_later_value": (
        CONFIG | LATER | {"qk_norm": "per_head"},
        [("/requires/0", "feature.unknown")],
    ),
    "config/requires_what_no_version_has": (
        CONFIG | {"requires": ["plugin/mypt-waves", "a/b_c.d-e", "plugin/"]},
        [("/requires/1", "feature.unknown"), ("/requires/2", "feature.unknown")],
    ),
    "config/requires_text": (CONFIG | {"requires": "a"}, [("/requires", TYPE)]),
    "config/requires_a_number": (CONFIG | {"requires": [1]}, [("/requires/0", TYPE)]),
    "config/requires_null": (CONFIG | {"requires": None}, [("/requires", TYPE)]),
    "config/requires_in_capitals": (
        CONFIG | {"requires": ["a", "Plugin/x"]},
        [("/requires/1", "schema.pattern")],
    ),
    "config/requires_twice": (
        CONFIG | {"requires": ["a", "b", "a"]},
        [("/requires/2", "schema.uniqueItems")],
    ),
    "config/requires_a_very_long_name": (
        CONFIG | {"requires": ["a" * 201]},
        [("/requires/0", "schema.maxLength")],
    ),
    "config/heads_do_not_divide": (CONFIG | {"n_head": 3}, [("/n_head", "config.heads")]),
    "config/odd_heads_turn": (
        CONFIG | {"n_head": 4, "pos_encoding": "rope"},
        [("/n_head", "config.rope")],
    ),
    "config/shared_heads_do_not_divide": (
        CONFIG | {"n_kv_head": 3},
        [("/n_kv_head", "config.heads")],
    ),
    "config/no_such_norm_of_queries": (CONFIG | {"qk_norm": "both"}, [("/qk_norm", ENUM)]),
    "config/half_a_pair_turns": (TURNING | {"rope_size": 1}, [("/rope_size", LOW)]),
    "config/more_than_a_head_turns": (TURNING | {"rope_size": 4}, [("/rope_size", ROPE)]),
    "config/learned_positions_do_not_turn": (
        CONFIG | {"rope_size": 2, "rope_pattern": "RN", "rope_scaling": LLAMA3},
        [("/rope_scaling", UNUSED), ("/rope_size", UNUSED), ("/rope_pattern", UNUSED)],
    ),
    "config/no_window_to_repeat": (
        TURNING | {"window_pattern": "SF", "rope_theta_sliding": 10},
        [("/rope_theta_sliding", UNUSED), ("/window_pattern", UNUSED)],
    ),
    "config/pattern_of_other_letters": (
        CONFIG | {"sliding_window": 2, "window_pattern": "SLF"},
        [("/window_pattern", "schema.pattern")],
    ),
    "config/offset_of_no_weights": (
        CONFIG | {"norm_weight": False, "norm_offset": 1},
        [("/norm_offset", UNUSED)],
    ),
    "config/scaling_of_no_kind": (
        TURNING | {"rope_scaling": {"factor": 2, "original_block_size": 2}},
        [("/rope_scaling/kind", MISSING)],
    ),
    "config/scaling_of_another_kind": (
        TURNING | {"rope_scaling": DYNAMIC | {"kind": "linear"}, "head_size": 4},
        [("/rope_scaling/kind", ENUM)],
    ),
    "config/scaling_with_a_number_of_another_kind": (
        TURNING | {"rope_scaling": YARN | {"low_freq_factor": 1}},
        [("/rope_scaling/low_freq_factor", UNUSED)],
    ),
    "config/scaling_without_a_band": (
        TURNING | {"rope_scaling": LLAMA3 | {"high_freq_factor": 1}},
        [("/rope_scaling/high_freq_factor", ROPE)],
    ),
    "config/scaling_without_its_bounds": (
        TURNING | {"rope_scaling": YARN | {"kind": "llama3"}},
        [("/rope_scaling/low_freq_factor", ROPE), ("/rope_scaling/high_freq_factor", ROPE)],
    ),
    "config/scaling_with_bounds_reversed": (
        TURNING | {"rope_scaling": YARN | {"beta_fast": 1, "beta_slow": 32}},
        [("/rope_scaling/beta_fast", ROPE)],
    ),
    "config/scaling_of_one_frequency": (
        TURNING | {"rope_scaling": DYNAMIC},
        [("/rope_scaling/kind", UNUSED)],
    ),
    "config/scaling_of_frequencies_that_do_not_fall": (
        TURNING | {"rope_scaling": YARN, "rope_theta": 1},
        [("/rope_theta", ROPE)],
    ),
    "config/version_1_text_for_number": (OLD_CONFIG | {"n_layer": "1"}, [("/n_layer", TYPE)]),
    "config/version_1_unknown_part": (
        OLD_CONFIG | {"mlp_type": "relu"},
        [("/mlp_type", "schema.enum")],
    ),
    "config/version_1_of_a_fork": (
        OLD_CONFIG | {"use_alibi": True},
        [("/use_alibi", "field.foreign")],
    ),
    "training_state/no_step": (without(STATE, "step"), [("/step", MISSING)]),
    "training_state/negative_step": (STATE | {"step": -1}, [("/step", LOW)]),
    "training_state/optimizer_elsewhere": (
        STATE | {"optimizer_file": "../optimizer.pt"},
        [("/optimizer_file", "schema.pattern")],
    ),
    "training_state/optimizer_with_a_newline": (
        STATE | {"optimizer_file": "optimizer.pt\n"},
        [("/optimizer_file", "schema.pattern")],
    ),
    "training_state/no_such_rule": (
        STATE | {"training_config": {"weight_decay_on": "none"}},
        [("/training_config/weight_decay_on", "schema.enum")],
    ),
    "training_state/guard_of_true": (
        STATE | {"training_config": {"gold_guards": {"trend": True}}},
        [("/training_config/gold_guards/trend", "schema.anyOf")],
    ),
    "training_state/short_digest": (
        STATE | {"data": {"source": "a", "sha256": "00", "train_tokens": 1, "val_tokens": 1}},
        [("/data/sha256", "schema.pattern")],
    ),
    "training_state/gold_without_guards": (
        STATE | {"gold": {"best_val_loss": None, "best_step": None}},
        [("/gold/guards", MISSING)],
    ),
    "training_state/run_without_a_step": (
        STATE | {"earlier_runs": [{"command": ["a"]}]},
        [("/earlier_runs/0/start_step", MISSING)],
    ),
    "training_state/commit_that_is_none": (
        STATE | {"provenance": {"start_step": 0, "git": {"commit": "main", "dirty": True}}},
        [("/provenance/git/commit", "schema.pattern")],
    ),
    "training_state/requires_a_later_value": (
        STATE | LATER | {"training_config": {"amp_dtype": "fp8"}},
        [("/requires/0", "feature.unknown")],
    ),
    "training_state/requires_a_later_version": (
        STATE | LATER,
        [("/requires/0", "feature.unknown")],
    ),
    "training_state/requires_an_object": (STATE | {"requires": {}}, [("/requires", TYPE)]),
    "training_state/version_1_no_step": ({}, [("/step", MISSING)]),
    "tokenizer/char_without_chars": (without(TOKENIZER, "chars"), [("/chars", MISSING)]),
    "tokenizer/char_with_none": (TOKENIZER | {"chars": []}, [("/chars", "schema.minItems")]),
    "tokenizer/two_characters": (
        TOKENIZER | {"chars": ["a", "bc"]},
        [("/chars/1", "schema.maxLength")],
    ),
    "tokenizer/character_twice": (
        TOKENIZER | {"chars": ["a", "b", "a"]},
        [("/chars/2", "schema.uniqueItems")],
    ),
    "tokenizer/role_by_text": (
        TOKENIZER | {"special_tokens": {"bos": "<s>"}},
        [("/special_tokens/bos", TYPE)],
    ),
    "tokenizer/role_of_two_tokens": (
        TOKENIZER | {"special_tokens": {"user": [1]}},
        [("/special_tokens/user", TYPE)],
    ),
    "tokenizer/role_twice": (
        TOKENIZER | {"special_tokens": {"eos": [1, 2, 1]}},
        [("/special_tokens/eos/2", "schema.uniqueItems")],
    ),
    "tokenizer/template_that_is_no_text": (
        TOKENIZER | {"additional_chat_templates": {"tool_use": None}},
        [("/additional_chat_templates/tool_use", TYPE)],
    ),
    "tokenizer/negative_id": (
        {"format_version": "2.0", "token_kind": "gpt2", "special_token_encoder": {"<a>": -1}},
        [("/special_token_encoder/<a>", LOW)],
    ),
    "tokenizer/requires_a_later_value": (
        TOKENIZER | LATER | {"special_tokens": {"pad": [0]}},
        [("/requires/0", "feature.unknown")],
    ),
    "tokenizer/requires_a_later_version": (
        TOKENIZER | LATER,
        [("/requires/0", "feature.unknown")],
    ),
    "tokenizer/requires_an_empty_name": (
        TOKENIZER | {"requires": [""]},
        [("/requires/0", "schema.pattern")],
    ),
    "tokenizer/version_1_no_kind": ({"chars": ["a"]}, [("/token_kind", MISSING)]),
    "manifest/no_version": (without(MANIFEST, "format_version"), [("/format_version", MISSING)]),
    "manifest/generation_zero": (MANIFEST | {"generation": 0}, [("/generation", LOW)]),
    "manifest/no_files": (MANIFEST | {"files": {}}, [("/files", "schema.minProperties")]),
    "manifest/file_elsewhere": (
        MANIFEST | {"files": {"../model.pt": FILE}},
        [("/files/..~1model.pt", "schema.pattern")],
    ),
    "manifest/lists_itself": (
        MANIFEST | {"files": {"manifest.json": FILE}},
        [("/files/manifest.json", "manifest.name")],
    ),
    "manifest/lists_a_tagged_name": (
        MANIFEST | {"files": {"model.pt.mypt-000001": FILE}},
        [("/files/model.pt.mypt-000001", "manifest.name")],
    ),
    "manifest/record_without_size": (
        MANIFEST | {"files": {"model.pt": {"sha256": "0" * 64}}},
        [("/files/model.pt/size_bytes", MISSING)],
    ),
    "manifest/document_that_is_none": (
        MANIFEST | {"documents": {"config.json": "{}"}},
        [("/documents/config.json", TYPE)],
    ),
    "preset/unknown_field": ({"n_layers": 3}, [("/n_layers", "schema.additionalProperties")]),
    "preset/heads_do_not_divide": ({"n_embd": 4, "n_head": 3}, [("/n_head", "config.heads")]),
    "log_event/eval_without_loss": (without(EVALUATION, "val_loss"), [("/val_loss", MISSING)]),
    "log_event/text_for_loss": (EVALUATION | {"eval_code": "low"}, [("/eval_code", TYPE)]),
    "log_event/no_time": (EVENT | {"timestamp": "now"}, [("/timestamp", "schema.pattern")]),
    "dataset_metadata/negative_tokens": (METADATA | {"total_tokens": -1}, [("/total_tokens", LOW)]),
    "dataset_metadata/newer_major": (
        METADATA | {"format_version": "3.0"},
        [("/format_version", "version.newer")],
    ),
}

# name -> bytes that are no document at all; the error is of the kind `json`
NO_JSON = {
    "empty": b"",
    "a_list": b"[]",
    "not_a_number": b'{"dropout": NaN}',
    "infinity": b'{"dropout": Infinity}',
    "beyond_a_float": b'{"dropout": 1e999}',
    "a_very_long_number": b'{"n_layer": ' + b"9" * 400 + b"}",
    "a_name_twice": b'{"n_layer": 1, "n_layer": 2}',
    "a_name_twice_deep": b'{"plugins": {"a": {"x": 1, "x": 1}}}',
    "half_a_character": b'{"device": "\\ud800"}',
    "not_utf_8": b'{"device": "\xff"}',
    "a_byte_order_mark": b'\xef\xbb\xbf{"n_layer": 1}',
    "a_comment": b'{"n_layer": 1} // six',
    "a_trailing_comma": b'{"n_layer": 1,}',
    "cut_off": b'{"n_layer": ',
    "too_deep": b'{"plugins": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}
