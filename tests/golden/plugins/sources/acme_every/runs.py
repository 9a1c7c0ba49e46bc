"""What a run is made of: optimizer, schedule, losses, guard and sink."""

import json
from pathlib import Path

from mypt.plugins import StateNumber, StateTensor, Verdict, decays

MOMENTUM = {
    "type": "object",
    "properties": {"momentum": {"type": "number", "minimum": 0, "default": 0.9}},
    "additionalProperties": False,
}
STAIRS = {
    "type": "object",
    "properties": {"every": {"type": "integer", "minimum": 1, "default": 2}},
    "additionalProperties": False,
}
GAMMA = {
    "properties": {"gamma": {"type": "number", "minimum": 0}},
    "additionalProperties": False,
}
LIMIT = {
    "type": "object",
    "properties": {"limit": {"type": "number", "exclusiveMinimum": 0}},
    "additionalProperties": False,
}
LINES = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
}


def build_optimizer(parameters, training):
    """Build signs of momentum for matrices, plain descent for the rest."""
    import torch

    class Signs(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                group["updates"] += 1
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    update, state = p.grad, self.state[p]
                    if group["name"] == "signs":
                        if not state:
                            state["momentum"], state["seen"] = torch.zeros_like(p), 0
                        state["seen"] += 1
                        state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                        update = state["momentum"].sign()
                    p.add_(update, alpha=-group["lr"])

    matrices = [
        p
        for name, p in parameters.items()
        if p.dim() == 2 and decays(name, p.dim(), training.weight_decay_on)
    ]
    chosen = set(matrices)
    rest = [p for p in parameters.values() if p not in chosen]
    momentum = training.optimizer_options.get("momentum", 0.9)
    groups = [
        {"name": "signs", "params": matrices, "lr": training.learning_rate / 10, "updates": 0},
        {"name": "descent", "params": rest, "updates": 0},
    ]
    groups = [group for group in groups if group["params"]]
    return Signs(groups, {"lr": training.learning_rate, "momentum": momentum})


def optimizer_state(parameter, group):
    """Return what is kept of a parameter; needs no torch."""
    if group["name"] == "descent":
        return {}
    return {"momentum": StateTensor(parameter.shape), "seen": StateNumber()}


def build_schedule(training):
    """Build stairs of halves."""
    every = training.lr_schedule_options.get("every", 2)
    return lambda step: 0.5 ** (max(0, step - training.warmup_steps) // every)


def build_focal(options):
    """Build the focal loss."""
    gamma = options.get("gamma", 2.0)

    def focal(logits, targets):
        log_p = logits.log_softmax(1).gather(1, targets[:, None])[:, 0]
        return -((1 - log_p.exp()) ** gamma) * log_p

    return focal


def build_smooth(options):
    """Build mypt's own loss, smoothed."""
    from mypt.plugins import CrossEntropy

    return CrossEntropy(z_loss=1e-4, label_smoothing=0.1)


def build_guard(options):
    """Build a guard that lets no model become gold above a loss, nor the first."""
    limit = options.get("limit", 4.0)

    def judge(evaluation, memory):
        seen = memory.get("seen", 0)
        memory = {"seen": seen + 1, "step": evaluation.step}
        if evaluation.val_loss > limit:
            return Verdict(f"val_loss above {limit}", memory)
        return Verdict("the first" if seen == 0 else None, memory)

    return judge


class Lines:
    """A sink that writes the kinds of events to a file, and goes on counting after a resume."""

    def __init__(self, run):
        self.path = Path(run.options["path"])
        self.heard = (run.state or {}).get("heard", 0)
        self.about = {
            "model_name": run.model_name,
            "resumed": run.resumed,
            "start_step": run.start_step,
            "heard": self.heard,
        }
        self.write({"event": "built", **self.about})

    def write(self, line):
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def emit(self, event):
        self.heard += 1
        self.write({key: event[key] for key in ("event", "iter", "val_loss") if key in event})

    def close(self):
        self.write({"event": "closed"})

    def state(self):
        return {"heard": self.heard}


def build_sink(run):
    """Build the sink of a run."""
    return Lines(run)
