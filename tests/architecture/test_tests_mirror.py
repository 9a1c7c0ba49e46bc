"""A test lies where its module does: tests/model/test_cache.py tests mypt.model.cache.

What concerns several modules lies in tests/scenarios, or in a folder that names its subject.
"""

from itertools import chain
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "mypt"
ROOMS = (
    *(
        "api",
        "chat",
        "cli",
        "comparison",
        "data",
        "engine",
        "export",
        "format",
        "model",
        "plotting",
    ),
    *("plugins", "testing", "tokenizers"),
)
# Modules without a test file of their own, by the file that tests them through their user. Take a
# module out when it gets a file; add one only if it cannot be tested alone.
TESTED_BY = {
    "api/test_doctor.py": ["cli/commands/checkpoints/doctor"],
    "architecture/test_document_schemas.py": [
        "format/documents/manifest",
        "format/documents/config_parts/rope_scaling",
        "format/documents/tokenizer",
    ],
    "architecture/test_packaging.py": ["format/resources"],
    "chat/sandbox/test_render.py": [
        "chat/sandbox/counter",
        "chat/sandbox/environment",
    ],
    "cli/commands/test_configs.py": ["engine/config/presets"],
    "cli/commands/test_chat.py": ["cli/conversation/session"],
    "cli/commands/test_generate.py": [
        "cli/generation/interactive",
        "cli/generation/loaded_model",
        "cli/generation/output",
        "cli/generation/request",
        "cli/generation/rounding",
        "cli/options/sampling",
    ],
    "cli/commands/checkpoints/test_inspect.py": ["api/info", "api/summary"],
    "cli/commands/test_plot.py": ["cli/chart_output", "plotting/find_log", "plotting/run"],
    "cli/commands/test_plugins.py": [
        "cli/format_group",
        "cli/options/plugins",
        "plugins/scaffold",
    ],
    "engine/inference/batching/test_batch.py": [
        "engine/inference/batching/running_text",
        "engine/inference/batching/token_choice",
    ],
    "engine/inference/test_conversation.py": ["engine/inference/answer"],
    "engine/optimizers/test_adamw.py": ["engine/optimizers/groups"],
    "engine/optimizers/test_muon.py": ["engine/optimizers/newton_schulz", "format/optimizers/muon"],
    "scenarios/test_lora.py": [
        "engine/checkpoints/adapters/base",
        "engine/checkpoints/adapters/own",
        "format/bundle/base",
        "cli/commands/checkpoints/merge",
        "engine/checkpoints/adapters/merge",
    ],
    "scenarios/test_optimizers.py": ["format/optimizers/built_in"],
    "scenarios/test_preferences.py": [
        "data/prepare/preferences",
        "engine/training/preferences",
    ],
    "testing/test_optimizers.py": [
        "engine/optimizers/adafactor",
        "engine/optimizers/sgd",
        "format/optimizers/adafactor",
        "format/optimizers/options",
        "format/optimizers/sgd",
    ],
    "engine/schedules/test_built_in.py": ["engine/schedules/shapes"],
    "engine/training/test_lr_finder.py": ["plotting/rate_chart"],
    "cli/commands/test_rerun.py": ["engine/config/rerun"],
    "cli/commands/test_train.py": [
        "engine/config/precedence",
        "engine/training/launch",
        "engine/training/run",
    ],
    "cli/test_main.py": ["cli/options/fields", "cli/options/flag_names"],
    "data/batches/test_tokens.py": ["data/batches/numbered_windows"],
    "data/batches/test_loader.py": ["data/batches/batch"],
    "cli/commands/test_data.py": ["cli/commands/data_report"],
    "data/prepare/test_episodes.py": [
        "data/inspection/describe",
    ],
    "data/prepare/test_tokens.py": [
        "data/metadata",
        "data/prepare/parallel",
        "data/prepare/pieces",
        "data/prepare/progress",
        "data/prepare/shard_filler",
        "data/prepare/shard_writer",
    ],
    "engine/checkpoints/test_checkpointer.py": ["engine/checkpoints/build"],
    "engine/checkpoints/test_write.py": ["engine/checkpoints/replacement"],
    "export/hugging_face/test_exporter.py": ["export/plugin"],
    "export/peft/test_reader.py": [
        "format/readers/adapters/convert",
    ],
    "format/readers/build_llm/test_reader.py": [
        "format/readers/build_llm/bigram",
        "format/readers/build_llm/models",
        "format/readers/shared/peek",
    ],
    "format/readers/hugging_face/trainer/test_checkpoint.py": ["format/readers/foreign_adamw"],
    "format/readers/hugging_face/test_reader.py": [
        "format/readers/hugging_face/families/family",
        "format/readers/hugging_face/model",
        "format/readers/options",
        "format/readers/shared/tensor_map",
    ],
    "format/readers/tokenizers/test_byte_bpe.py": [
        "format/readers/tokenizers/parts",
        "format/readers/tokenizers/words",
    ],
    "format/readers/test_nanogpt.py": ["format/readers/shared/plain_pickle"],
    "format/schema/test_check.py": ["format/schema/messages", "format/schema/validator"],
    "format/storage/test_commit.py": ["format/storage/generations"],
    "format/test_migrate.py": ["format/downgrade"],
    "format/test_validate.py": [
        "cli/commands/checkpoints/validate",
        "format/bundle/cross_checks",
        "format/bundle/examine",
        "format/bundle/findings",
    ],
    "golden/test_golden.py": [
        "format/readers/mypt_file",
        "format/readers/mypt_folder",
        "format/readers/plugin",
        "format/tensors/weights_file",
    ],
    "format/tensors/pickles/test_foreign_pickle.py": ["format/tensors/pickles/other_opcodes"],
    "hostile/test_pt_files.py": ["format/tensors/pickles/pickle_reader"],
    "plugins/nn/test_loss.py": ["plugins/nn/loss_chunked", "plugins/nn/loss_uncompiled"],
    "model/decoding/test_joined_decoder.py": ["model/decoding/joined_cache"],
    "model/test_plugin.py": ["model/assembly"],
    "plugins/test_packages.py": ["plugins/faults"],
    "plugins/test_manager.py": [
        "plugins/hookspecs",
        "plugins/parts",
        "plugins/registry",
    ],
    "property/test_fast_path.py": ["format/schema/fast_path"],
    "testing/test_guards.py": ["engine/plugin"],
    "testing/parts/test_model.py": ["testing/parts/decoding"],
    "testing/test_readers.py": ["testing/foreign_files"],
    "testing/test_tokenizers.py": ["testing/expectations", "testing/speed"],
}
# Names, versions, types and tables: there is nothing to run.
DECLARATIONS = [
    "engine/training/job",
    "format/documents/checkpoint",
    "format/migrations/step",
    *(
        f"format/names/counterparts/{table}"
        for table in (
            "architecture",
            "data",
            "evaluation",
            "generation",
            "hardware",
            "optimization",
            "records",
        )
    ),
    "format/rules/optimizers/kinds",
    "format/readers/contract",
    "format/readers/foreign_model",
    "format/version",
    *(
        f"plugins/contracts/{kind}"
        for kind in (
            "command",
            "data_source",
            "exporter",
            "factory",
            "guard",
            "part",
            "sink",
            "training",
        )
    ),
    "plugins/decoding/logit_processors",
]
# How many modules with something to run may be without a test file; it only falls.
MOST_WITHOUT = 105


def find_modules():
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix()
        for room in ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        if not path.stem.startswith("__") and "templates" not in path.parts
    }


def find_tests():
    """Map what each test file of a room is named for to the file."""
    found = {}
    for room in ROOMS:
        for path in (TESTS / room).rglob("test_*.py"):
            place = path.relative_to(TESTS).with_suffix("")
            found[place.with_name(place.name.removeprefix("test_")).as_posix()] = path
    return found


def test_every_test_file_is_named_for_a_module():
    assert sorted(find_tests().keys() - find_modules()) == []


def test_every_module_has_a_test_file_or_says_which_one_tests_it():
    without = find_modules() - find_tests().keys()
    listed = [*chain.from_iterable(TESTED_BY.values()), *DECLARATIONS]
    assert sorted(without - set(listed)) == [], "write a test for it"
    assert sorted(set(listed) - without) == [], "take it out of the list"
    assert len(listed) == len(set(listed))
    assert len(listed) - len(DECLARATIONS) <= MOST_WITHOUT


@pytest.mark.parametrize("where", TESTED_BY)
def test_what_is_said_to_test_a_module_exists(where):
    assert (TESTS / where).is_file()
