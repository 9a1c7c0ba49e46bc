"""Acts of the soak that carry a model elsewhere: migrations, exports, copies and other names."""

import json
import shutil
import warnings

import numpy as np
import torch

import mypt
from mypt.format.bundle.read import read_bundle
from tests.support.crash.scene import tree, whole_bundle
from tests.support.paths import ROOT
from tests.support.soak.training import retire
from tests.support.soak.world import Model, hold

GOLDEN = ROOT / "tests" / "golden"
IDS = torch.tensor([[3, 1, 4, 1, 5]])
EXPORTS = {"hf": "", "gguf": ".gguf", "litgpt": "", "llama2c": ".bin"}
TOLERANCE = 1e-5
CALLS = 120


def logits_of(path, ids=IDS, **options):
    """Give the logits of some tokens, whatever the format."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is damaged, and not needed for it
        return mypt.load(path, options=options)(ids).numpy()


def saved(world):
    return [model for model in world.models.values() if model.step]


def until_done(world, *words, tries=5):
    """Run a command that may be interrupted several times; give what the last one said."""
    for _ in range(world.chance.randrange(tries)):
        yield world.run(*words, strike=world.draw_strike(CALLS, 0.4, share=1.0))
    yield world.run(*words)


def migrate_legacy(world):
    """Migrate a checkpoint that an earlier program wrote, interrupted now and then."""
    folder = world.chance.choice(sorted(p.parent for p in GOLDEN.glob("*/expected.json")))
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    logits = np.load(folder / "expected_logits.npy")
    name = world.new_name("legacy")
    place = world.checkpoints / name
    root, _, path = expected["checkpoint"].partition("/")
    shutil.copytree(folder / root, place)
    source = place / path
    options = expected["options"]
    for key in ("training_text", "like"):
        if key in options:
            options[key] = str(place / options[key])
    before = tree(place)
    output = world.checkpoints / f"{name}new"
    words = ["format", "migrate", str(source), "--output", str(output)]
    words += [part for key, value in options.items() for part in ("--option", f"{key}={value}")]
    dry = tree(world.checkpoints)
    world.run(*words, "--dry_run")
    hold(tree(world.checkpoints) == dry, words, "is no dry run")
    for code, said in until_done(world, *words):
        found = tree(place)
        hold({k: v for k, v in found.items() if k in before} == before, name, "was touched")
        hold(found.keys() - before.keys() <= {".mypt.lock", "lock"}, found.keys() - before.keys())
        if (output / "manifest.json").exists():
            whole_bundle(output)
            found = logits_of(output, torch.tensor([expected["prompt_ids"]]))
            np.testing.assert_allclose(found, logits, atol=TOLERANCE, rtol=0)
        else:
            hold(code != 0 or folder.name.startswith("bundle_"), words, said)
    hold(code == 0, words, said)
    world.counts["legacy checkpoints migrated"] += 1
    shutil.rmtree(place)
    shutil.rmtree(output, ignore_errors=True)


def migrate_and_back(world):
    """Write a model as version 1 and read that back, interrupted now and then."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    source = world.checkpoints / model.name
    older, back = (world.checkpoints / world.new_name(kind) for kind in ("older", "back"))
    before = whole_bundle(source)
    words = ("format", "migrate", model.name, "--to", "1", "--output", str(older))
    for code, said in until_done(world, *words):
        hold(whole_bundle(source) == before, model, "was touched by what said", code, said)
    if code == 1 and "version 1 cannot express this" in said:
        hold(not older.exists(), older, "is left of a refusal")
        world.counts["round trips refused for what version 1 lacks"] += 1
        return
    hold(code == 0 and (older / "model.pt").exists(), words, said)
    kept = tree(older)
    for _ in until_done(world, "format", "migrate", str(older), "--output", str(back)):
        found = tree(older)
        hold({k: v for k, v in found.items() if k in kept} == kept, older, "was touched")
    one, other = read_bundle(source), read_bundle(back)
    weights, again = one.weights(), other.weights()
    again_only = again.keys() - weights.keys()
    hold(again_only <= {"lm_head.bias"}, again_only)
    hold(all(torch.equal(weights[n], again[n]) for n in weights), model, "has other weights")
    hold(other.training_state.step == one.training_state.step, model, "has another step")
    mine, theirs = one.optimizer(), other.optimizer()
    if theirs:
        for name, held in theirs["state"].items():
            for key in ("exp_avg", "exp_avg_sq"):
                hold(torch.equal(held[key], mine["state"][name][key]), name, key)
        world.counts["round trips with moments"] += 1
    hold(np.array_equal(logits_of(source), logits_of(back)), model, "has other logits")
    world.clear_run("format", "validate", "--checksums", str(older), str(back))
    world.counts["round trips by version 1"] += 1
    shutil.rmtree(older)
    shutil.rmtree(back)


def export(world):
    """Export a model or a copy of one, interrupted now and then, and read that back."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    source = world.chance.choice([world.checkpoints / model.name, *world.copies_of(model)])
    if not (source / "manifest.json").exists():
        return
    program = world.chance.choice(sorted(EXPORTS))
    output = world.place / "exports" / f"{world.new_name('export')}{EXPORTS[program]}"
    words = ["export", str(source), "--to", program, "--output", str(output)]
    before = whole_bundle(source)
    expected = logits_of(source)
    for code, said in until_done(world, *words):
        hold(whole_bundle(source) == before, source, "was touched")
        hold(code != 0 or output.exists(), words, said)
        if output.exists():
            options = {} if program != "llama2c" else {"tokenizer": "none"}
            found = logits_of(output, **options)
            np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
            break  # another would be refused: there is something
    if output.exists():
        world.counts[f"exports read back: {program}"] += 1
    else:
        hold(code == 1 and "config.json#/" in said, words, said)
        world.counts[f"exports refused for what the program lacks: {program}"] += 1
    for path in (world.place / "exports").iterdir():
        # Who is ended right after the export has its name leaves the place where it was made.
        ended = code < 0 or said.endswith("interrupted\n")
        hold(path == output or ended, path, "is left of", words)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def rename(world):
    """Give a model another name, with all its copies, as its user would."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    name = world.new_name("named")
    for path in [*world.copies_of(model), world.checkpoints / model.name]:
        path.rename(world.checkpoints / path.name.replace(model.name, name))
    del world.models[model.name]
    model.name, model.is_plain = name, False
    world.models[name] = model
    world.look_at(model)
    world.counts["renamed"] += 1


def copy(world):
    """Copy a model without its copies; both go on from there."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    twin = Model(world.new_name("twin"), model.recipe, model.step, is_plain=False)
    twin.is_done, twin.notes = model.is_done, dict(model.notes)
    shutil.copytree(world.checkpoints / model.name, world.checkpoints / twin.name)
    world.models[twin.name] = twin
    world.look_at(twin)
    world.counts["copied"] += 1
    if len(world.models) > 8:
        retire(world, model)
