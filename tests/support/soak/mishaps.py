"""Acts of the soak that spoil something, or put something there that is not mypt's."""

import json
import shutil

from mypt.format.bundle.read import read_bundle
from mypt.format.errors import MyptError
from mypt.format.storage.files import BUNDLE_FILES, MANIFEST
from tests.support import damage
from tests.support.crash.scene import tree
from tests.support.soak.carrying import logits_of, saved
from tests.support.soak.recipes import LAST
from tests.support.soak.strikes import Strike
from tests.support.soak.training import go_on, retire
from tests.support.soak.world import hold

KEPT = "_damaged"


def remove_file(path):
    path.unlink()


WAYS = (damage.flip, damage.cut, remove_file, damage.replace_by_folder)


def spoil(world):
    """Damage a file of a model: it is refused, and training goes on from a copy or a backup."""
    if not saved(world):
        return
    model = world.chance.choice(saved(world))
    folder = world.checkpoints / model.name
    name, way = world.chance.choice((*BUNDLE_FILES, MANIFEST)), world.chance.choice(WAYS)
    backup = world.place / "backup"
    shutil.copytree(folder, backup)
    way(folder / name)
    damaged = _without_locks(tree(folder))
    world.tell(spoilt=name, of=model.name, way=way.__name__, step=model.step)
    world.counts[f"damaged: {way.__name__}"] += 1
    is_optional = way is remove_file and name == MANIFEST
    code, said = world.run("doctor", model.name, "--json")
    report = json.loads(said)
    hold(code == (0 if report["whole"] else 1), "doctor ends with", code)
    # A flipped bit may leave a document that somebody could have written so: an edit, and told of.
    is_edit = any(name in doubt for doubt in report["checkpoints"][0]["doubts"])
    hold(not report["whole"] or is_optional or is_edit, "doctor finds nothing wrong with", name)
    code, said = world.run("format", "validate", "--checksums", model.name)
    hold(
        is_optional or f"{model.name}/{name}" in said,
        "validate does not tell of",
        folder / name,
        ":",
        said,
    )
    hold(code == 0 or is_edit or not report["whole"], folder, "is whole and invalid")
    if is_edit:  # which is an error only to who asks whether all is as it was
        world.clear_run("format", "validate", model.name)
    check_inference(world, folder, report, is_valid=code == 0)
    hold(_without_locks(tree(folder)) == damaged, folder, "was touched by those who look")
    if report["fall_back"] is None or model.step == LAST:
        shutil.rmtree(folder)
        backup.rename(folder)
        world.counts["restored from a backup"] += 1
        return
    shutil.rmtree(backup)
    fall_back(world, model, report, damaged)


def check_inference(world, folder, report, *, is_valid):
    """What doctor says of inference holds, and what is valid opens."""
    serves = report["checkpoints"][0]["generate"]
    hold(serves or not is_valid, folder, "is valid and serves for nothing")
    try:
        logits_of(folder)
    except MyptError as error:
        hold(not serves, folder, "should open:", error)
    else:
        hold(serves, folder, "opens, and should not")
        world.counts["opened in spite of damage elsewhere"] += 1


def fall_back(world, model, report, damaged):
    """Go on from the newest whole copy, interrupted now and then; what is damaged is kept."""
    folder = world.checkpoints / model.name
    if report["checkpoints"][0]["train"] is None:
        code, said = world.run("train", "--model_name", model.name)
        hold(code == 1 and "--fall_back" in said, model, "should be refused:", said)
        hold(_without_locks(tree(folder)) == damaged, folder, "was touched by a refusal")
    steps = [row["step"] for row in report["checkpoints"][1:] if row["train"] and row["whole"]]
    (row,) = (row for row in report["checkpoints"] if row["path"] == report["fall_back"])
    hold(row["step"] == max(steps), report["fall_back"], "is not the newest of", steps)
    model.step, model.is_plain, model.is_done = max(steps), False, False
    kept = world.checkpoints / f"{model.name}{KEPT}"
    for _ in range(6):
        strike = Strike.draw(world.chance, 60, 0.5)
        world.run("train", *model.recipe.arguments(model.name), "--fall_back", strike=strike)
        if kept.exists():
            break
        if folder.exists():
            hold(_without_locks(tree(folder)) == damaged, folder, "is neither")
    else:
        world.run("train", *model.recipe.arguments(model.name), "--fall_back")
    hold(_without_locks(tree(kept)) == damaged, kept, "is not what was damaged")
    if not folder.exists():  # for an instant there is neither
        world.counts["died between the damaged model and its successor"] += 1
        world.run("train", "--model_name", model.name, "--fall_back")
    shutil.rmtree(kept)
    model.notes = {}  # they were kept with what was damaged
    world.counts["fell back on a copy"] += 1
    if row["train"] != "exactly":  # the copy is a mean of the weights
        state = read_bundle(folder).training_state
        hold(state.step >= model.step and not state.exact, folder, "goes on exactly, it says")
        world.counts["fell back on a copy inexactly, and said so"] += 1
        retire(world, model)
        return
    world.look_at(model)
    if model.step < LAST:
        go_on(world, model, "--fall_back")


def _without_locks(held):
    return {name: data for name, data in held.items() if "lock" not in name}


def leave_note(world):
    """Put a file into a model that is not mypt's, or one beside the models."""
    if not saved(world):
        return
    chance = world.chance
    data = chance.randbytes(chance.randint(0, 3000))
    name = chance.choice(["notes.txt", "latest.pt.txt", "model.pt.bak", ".keep", "Thumbs.db"])
    if chance.random() < 0.5:
        model = chance.choice(saved(world))
        if name not in model.notes and (world.checkpoints / model.name).exists():
            (world.checkpoints / model.name / name).write_bytes(data)
            model.notes[name] = data
    else:
        name = f"{world.new_name('note')}.txt"
        (world.checkpoints / name).write_bytes(data)
        if len(world.beside) > 20:
            (world.checkpoints / world.beside.popitem()[0]).unlink()
        world.beside[name] = data
    world.counts["notes left"] += 1
