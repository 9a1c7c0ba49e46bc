"""The soak itself: acts in random order until the time is over, each followed by a look around."""

import sys
import time
from pathlib import Path

from tests.support.soak import carrying, looking, mishaps, training
from tests.support.soak.world import World

# Each act, and how often it is drawn.
ACTS = {
    training.begin: 5,
    training.resume: 16,
    training.watch: 2,
    training.fresh: 1,
    training.rerun: 1,
    carrying.migrate_legacy: 3,
    carrying.migrate_and_back: 2,
    carrying.export: 4,
    carrying.rename: 1,
    carrying.copy: 1,
    mishaps.spoil: 4,
    mishaps.leave_note: 1,
    looking.list_all: 1,
    looking.validate_all: 2,
    looking.ask_doctor: 2,
    looking.generate: 1,
}


def soak(folder, seed, *, seconds=None, acts=None, told=sys.stdout):
    """Act for so long, or so often; give what was done.

    Args:
        folder: An empty one; its journal stays in it.
        seed: Decides the acts and what befalls them.
        seconds: How long.
        acts: How often.
        told: Where a line of counts goes each minute.

    Raises:
        AssertionError: Something was lost: the journal says what was done before.
    """
    world = World(Path(folder) / "world", seed)
    begin, minute = time.monotonic(), 0
    while not _is_over(world, time.monotonic() - begin, seconds, acts):
        (act,) = world.chance.choices(list(ACTS), list(ACTS.values()))
        world.tell(act=act.__name__)
        try:
            act(world)
            world.look_around()
        except BaseException as error:
            world.tell(lost=str(error))
            told.write(f"seed {seed}, act {world.counts['acts']}, {act.__name__}: {error}\n")
            raise
        world.counts["acts"] += 1
        world.counts[f"act {act.__name__}"] += 1
        if (time.monotonic() - begin) // 60 > minute:
            minute = (time.monotonic() - begin) // 60
            told.write(world.summary() + "\n")
            told.flush()
    for model in world.models.values():
        if not model.is_done and model.step:
            training.go_on(world, model)
        world.look_at(model)
    told.write(world.summary() + "\n")
    return world


def _is_over(world, spent_s, seconds, acts):
    return spent_s >= seconds if seconds is not None else world.counts["acts"] >= acts
