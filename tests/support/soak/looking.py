"""Acts of the soak that only look: what they say is what is there, and nothing changes."""

from mypt.format.bundle.read import read_bundle
from mypt.format.storage.files import MANIFEST
from tests.support.crash.scene import tree
from tests.support.soak.carrying import logits_of, saved
from tests.support.soak.world import hold


def list_all(world):
    """Everything that was saved is listed, with its step."""
    before = tree(world.checkpoints)
    found = {row["path"].rpartition("/")[2]: row for row in world.json("list", "--json")}
    for model in saved(world):
        hold(found.get(model.name, {}).get("step") == model.step, model, found.get(model.name))
        for path in world.copies_of(model):
            hold((path / MANIFEST).exists() == (path.name in found), path, "is not listed")
    hold(tree(world.checkpoints) == before, "list has changed something")
    world.counts["lists"] += 1


def validate_all(world):
    """All bundles are valid, by their checksums, and what is valid opens."""
    if not saved(world):
        return
    before = tree(world.checkpoints)
    report = world.json("format", "validate", "checkpoints", "--checksums", "--json")
    world.counts["trees validated"] += 1
    hold(tree(world.checkpoints) == before, "validate has changed something")
    world.tell(validated=str(report)[:300])
    model = world.chance.choice(saved(world))
    for path in [world.checkpoints / model.name, *world.copies_of(model)]:
        if (path / MANIFEST).exists():
            logits_of(path)
            world.counts["models opened"] += 1


def ask_doctor(world):
    """A model that nothing damaged is whole, and can be gone on from exactly."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    before = tree(world.checkpoints)
    report = world.json("doctor", model.name, "--json")
    first = report["checkpoints"][0]
    hold(report["whole"] and first["train"] == "exactly" and not first["doubts"], report)
    hold(first["step"] == model.step, report)
    hold(tree(world.checkpoints) == before, "doctor has changed something")
    world.counts["doctors asked"] += 1


def generate(world):
    """Text is generated, and the same twice."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    words = ["generate", model.name, "--prompt", "the", "--max_new_tokens", "20", "--seed", "3"]
    words += ["--device", "cpu"]
    hold(world.clear_run(*words) == world.clear_run(*words), model, "says two things")
    inspected = world.json("inspect", model.name, "--json")
    hold(inspected, model)
    state = read_bundle(world.checkpoints / model.name).training_state
    hold(state.exact, model, state.inexact_reasons)
    world.counts["texts generated"] += 1
