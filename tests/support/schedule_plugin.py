"""A plugin with a learning-rate schedule: steps down by a factor, with options and former names."""

from mypt.plugins import ScheduleFactory, hookimpl

OPTIONS = {
    "type": "object",
    "properties": {
        "factor": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
        "every": {"type": "integer", "minimum": 1, "default": 5},
    },
    "additionalProperties": False,
}


def build_stairs(training):
    """Build the schedule that falls by a factor every so many updates after the warm-up."""
    options = training.lr_schedule_options
    factor, every = options.get("factor", 0.5), options.get("every", 5)
    return lambda step: factor ** (max(0, step - training.warmup_steps) // every)


def build_odd(training):
    """Build the schedule that fails at step 7, as its option says."""
    made = training.lr_schedule_options["made"]

    def schedule(step):
        if step < 7:
            return 1.0
        if made == "raise":
            raise LookupError(f"no {step}")
        return None if made == "none" else float(made)

    return schedule


def update_stairs(settings, origin):
    """Return options as they are called today."""
    if origin.name == "acme_steps":
        return {"factor": settings.get("gamma", 0.5)}
    return settings


@hookimpl
def mypt_schedules():
    return [
        ScheduleFactory(
            "acme_stairs",
            build_stairs,
            options=OPTIONS,
            decay_step=lambda training: (
                training.warmup_steps + training.lr_schedule_options.get("every", 5)
            ),
            former_names=("acme_steps",),
            update=update_stairs,
        ),
        ScheduleFactory("acme_odd", build_odd, options={"properties": {"made": {}}}),
    ]
