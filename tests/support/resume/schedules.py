"""Random schedules of interruptions, each a function of its number."""

import random
import signal

from tests.support.resume.runs import Interruption, Moment

NUMBER = 50
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def schedule(number, moments, interval):
    """Draw 1 to 5 interruptions, each of which a run is sure to meet after the ones before.

    Args:
        number: Which schedule.
        moments: Those of an unbroken run.
        interval: Updates between two evaluations.
    """
    chance = random.Random(number)
    left = sorted(moment for moment in moments if moment.kind != "start")
    saved = sorted({moment.step for moment in moments if moment.kind == "save"})
    drawn = []
    for _ in range(chance.randint(1, 5)):
        if chance.random() < 0.1:
            drawn.append(Interruption(Moment(0, "start", chance.randrange(2)), (signal.SIGKILL,)))
            continue
        # Within a third of an interval the last one's work is often done again: twice in one.
        end = left[0].step + chance.choice([interval // 3, interval, 2 * interval])
        kind = chance.choice(sorted({m.kind for m in left if m.step <= end}))
        moment = chance.choice([m for m in left if m.step <= end and m.kind == kind])
        number_sent = chance.choice(SIGNALS)
        torn = kind == "log" and number_sent == signal.SIGKILL and chance.random() < 0.5
        drawn.append(Interruption(moment, (number_sent,), torn))
        left = [m for m in left if is_ahead(m, drawn[-1], saved)]
        if not left:
            break
    return drawn


def is_ahead(moment, interruption, saved):
    """Tell whether the process after an interruption is sure to pass a moment.

    Args:
        moment: What is asked about.
        interruption: The last one.
        saved: Steps that are saved in any case, rising.
    """
    at = interruption.moment
    if interruption.kills or at.kind == "evaluation":  # which is begun anew
        return moment > at
    if at.kind == "log":  # the save follows, and the stop
        return moment > Moment(at.step, "save", 10**9)
    if at.kind == "update":  # which is finished first, and saved
        return moment.step >= at.step + 2
    # The training goes on beside the save, until it waits to save again.
    return moment.step >= min((s for s in saved if s > at.step), default=at.step) + 2


def is_twice_in_one_interval(interruptions, interval):
    """Tell whether two interruptions fall between the same two evaluations."""
    steps = [i.moment.step // interval for i in interruptions if i.moment.kind != "start"]
    return len(set(steps)) < len(steps)
