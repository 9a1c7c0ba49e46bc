"""A plugin with two optimizers: SGD with momentum, and one with a rule for each of its groups."""

from mypt.plugins import OptimizerFactory, StateNumber, StateTensor, hookimpl

NUMBER = {"type": "number", "minimum": 0}


def build_momentum(parameters, training):
    """Build torch's SGD, with a smaller rate for vectors."""
    import torch

    vectors = [p for p in parameters.values() if p.dim() < 2]
    matrices = [p for p in parameters.values() if p.dim() >= 2]
    return torch.optim.SGD(
        [
            {"params": matrices, "name": "matrices"},
            {"params": vectors, "name": "vectors", "lr": training.learning_rate / 4},
        ],
        lr=training.learning_rate,
        momentum=training.optimizer_options.get("momentum", 0.9),
        weight_decay=training.weight_decay,
    )


def momentum_state(parameter, group):
    """Return what torch's SGD keeps."""
    return {"momentum_buffer": StateTensor(parameter.shape)} if group["momentum"] else {}


def build_mixed(parameters, training):
    """Build the optimizer of two rules."""
    import torch

    class Mixed(torch.optim.Optimizer):
        """Factored second moments for matrices (Adafactor), and signs of momentum for the rest.

        The rate of matrices grows with a counter that each group has.
        """

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                group["k"] += 1
                for p in group["params"]:
                    if p.grad is not None:
                        self.step_one(p, group, self.state[p])

        def step_one(self, p, group, state):
            if group["name"] == "factored":
                if not state:
                    state["rows"] = torch.zeros_like(p[:, 0])
                    state["columns"] = torch.zeros_like(p[0], dtype=torch.float64)
                    state["count"] = 0
                state["count"] += 1
                square = p.grad**2 + 1e-30
                state["rows"].lerp_(square.mean(dim=1), 1 - group["decay"])
                state["columns"].lerp_(square.mean(dim=0).double(), 1 - group["decay"])
                rows, columns = state["rows"], state["columns"].to(p.dtype)
                estimate = torch.outer(rows, columns) / rows.mean()
                rate = group["lr"] * group["k"] / (group["k"] + 1) / state["count"] ** 0.1
                p.addcdiv_(p.grad, estimate.sqrt() + 1e-8, value=-rate)
            else:
                if not state:
                    state["momentum"] = torch.zeros_like(p, dtype=torch.bfloat16)
                state["momentum"].lerp_(p.grad.bfloat16(), 0.5)
                p.add_(state["momentum"].sign().to(p.dtype), alpha=-group["lr"])

    decay = training.optimizer_options.get("decay", 0.8)
    rest = [p for p in parameters.values() if p.dim() != 2]
    matrices = [p for p in parameters.values() if p.dim() == 2]
    return Mixed(
        [
            {"params": matrices, "name": "factored", "decay": decay},
            {"params": rest, "name": "signs", "decay": 0.0, "lr": training.learning_rate / 10},
        ],
        {"lr": training.learning_rate, "k": 0},
    )


def mixed_state(parameter, group):
    """Return what the optimizer of two rules keeps."""
    if group["name"] == "signs":
        return {"momentum": StateTensor(parameter.shape, "bfloat16")}
    rows, columns = parameter.shape
    return {
        "rows": StateTensor((rows,)),
        "columns": StateTensor((columns,), "float64"),
        "count": StateNumber(),
    }


MOMENTUM = OptimizerFactory(
    "acme_momentum",
    build_momentum,
    momentum_state,
    settings=("momentum", "dampening", "weight_decay", "nesterov"),
    options={"properties": {"momentum": NUMBER}, "additionalProperties": False},
)
MIXED = OptimizerFactory(
    "acme_mixed",
    build_mixed,
    mixed_state,
    settings=("decay",),
    progress=("k",),
    options={"properties": {"decay": NUMBER}},
)


@hookimpl
def mypt_optimizers():
    """Offer both."""
    return [MOMENTUM, MIXED]
