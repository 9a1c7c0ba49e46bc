"""Check an optimizer: what it keeps, and a run that is saved and goes on bit for bit."""

from __future__ import annotations

import copy
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mypt.engine.optimizers.build import continue_optimizer, make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer, parameters_of
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import PluginError
from mypt.format.rules.optimizers.state import optimizer_problems
from mypt.format.storage import files
from mypt.format.tensors.pt_file import load_tensors, read_header
from mypt.format.tensors.pt_writer import write_tensors
from mypt.model.initialisation import initialise
from mypt.model.transformer import Transformer
from mypt.plugins.contracts.training import OptimizerFactory
from mypt.testing.expectations import (
    ContractError,
    check_fields,
    check_options,
    checking_results,
    during,
    expect,
)
from mypt.testing.parts.model import TINY
from mypt.testing.registration import register_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.manager import Plugins

_UPDATES = 5
_FROZEN = "blocks.0."


@during("the optimizer")
def check_optimizer(
    factory: OptimizerFactory,
    options: Mapping[str, Any] | None = None,
    config: GPTConfig = TINY,
) -> dict[str, dict[str, Any]]:
    """Check that an optimizer trains, keeps what it declares, and goes on from it exactly.

    Checked are its groups, that it follows the learning rate which mypt sets before each update,
    that parameters without a gradient stay, that the same run has the same weights, and a resume
    after each update, from a file.

    Args:
        factory: As the plugin offers it.
        options: What a run gives as `optimizer_options`.
        config: Config of the tiny model that is trained.

    Returns:
        What it keeps at the end: tensors and numbers, by parameter and name.

    Raises:
        ContractError: The optimizer violates its contract.
    """
    check_fields(factory, OptimizerFactory)
    given = dict(options or {})
    check_options(factory, given)
    training = TrainingConfig(
        optimizer=factory.name, optimizer_options=given, learning_rate=0.01, max_iters=_UPDATES
    )
    plugins = register_beside(checking_results(factory))
    _check_frozen(config, plugins, training)
    _check_rate(config, plugins, training)
    return _check_resumes(config, plugins, training)


class _Run:
    """A model and its optimizer, updated on batches that are a function of the step."""

    def __init__(self, config: GPTConfig, plugins: Plugins, training: TrainingConfig) -> None:
        self.model = Transformer(config, plugins)
        initialise(self.model, 0)
        self.training, self.step = training, 0
        self.take(make_optimizer(self.model, training))

    def take(self, optimizer: torch.optim.Optimizer) -> None:
        """Go on with an optimizer."""
        self.optimizer = optimizer
        with _refused():
            self.tracked = TrackedOptimizer(optimizer, self.model, self.training.optimizer)

    def update(self, rate: float = 1.0) -> None:
        """Make one update, with a multiple of the learning rates that the groups were built with.

        They fall from step to step, as in a run.
        """
        chance = torch.Generator().manual_seed(self.step)
        size = (2, 2, self.model.config.block_size)
        x, y = torch.randint(self.model.config.vocab_size, size, generator=chance)
        for group in self.optimizer.param_groups:
            peak = group.setdefault("initial_lr", group["lr"])
            group["lr"] = peak * rate / (1 + self.step)
        self.model.loss(x, y).backward()  # type: ignore[no-untyped-call]
        with during(f"update {self.step}"):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def collect(self) -> dict[str, Any]:
        """Return what the optimizer keeps, as a save has it."""
        with _refused():
            return self.tracked.collect()

    def resumed(self, saved: Mapping[str, Any]) -> _Run:
        """Return another run that goes on from here, with an optimizer of its own."""
        other = _Run(self.model.config, self.model.plugins, self.training)
        other.model.load_state_dict(self.model.state_dict())
        other.step = self.step
        other.take(continue_optimizer(other.model, self.training, saved))
        return other

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}


@contextmanager
def _refused() -> Iterator[None]:
    """Turn mypt's refusal of what an optimizer keeps into a `ContractError`."""
    try:
        yield
    except PluginError as error:
        message = f"it {error.problems[0].what}"
        raise ContractError(message) from error


def _check_frozen(config: GPTConfig, plugins: Plugins, training: TrainingConfig) -> None:
    run = _Run(config, plugins, training)
    frozen = {name: p for name, p in run.model.named_parameters() if name.startswith(_FROZEN)}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    before = run.weights()
    for _ in range(2):
        run.update()
    after, kept = run.weights(), run.collect()["state"]
    for name, tensor in before.items():
        if name in frozen:
            expect(torch.equal(tensor, after[name]), f"it changes {name}, which has no gradient")
            expect(name not in kept, f"it keeps something for {name}, which has no gradient")
    moved = any(not torch.equal(before[name], after[name]) for name in before)
    expect(moved, "two updates change no weight")
    finite = all(bool(tensor.isfinite().all()) for tensor in after.values())
    expect(finite, "after two updates weights are not finite")


def _check_rate(config: GPTConfig, plugins: Plugins, training: TrainingConfig) -> None:
    slow, fast = (_Run(config, plugins, training) for _ in range(2))
    slow.update(rate=0.1)
    fast.update(rate=1.0)
    ours, theirs = slow.weights(), fast.weights()
    expect(
        any(not torch.equal(ours[name], theirs[name]) for name in ours),
        "another `lr` of its groups makes the same update: the schedule of a run has no effect",
    )


def _check_resumes(
    config: GPTConfig, plugins: Plugins, training: TrainingConfig
) -> dict[str, dict[str, Any]]:
    whole = _Run(config, plugins, training)
    forks: list[_Run] = []
    declaration = plugins.optimizer(training.optimizer).declaration
    for _ in range(_UPDATES):
        whole.update()
        for fork in forks:
            fork.update()
            _expect_equal(fork, whole, f"resumed after update {_UPDATES - len(forks)}")
        saved, described = _through_file(whole.collect())
        problems = optimizer_problems(
            described, parameters_of(whole.model), declaration, files.OPTIMIZER
        )
        expect(not problems, f"its own state is not valid: {problems and problems[0]}")
        forks = [*forks, whole.resumed(saved)][-2:]
    again = _Run(config, plugins, training)
    for _ in range(_UPDATES):
        again.update()
    _expect_equal(again, whole, "trained twice alike")
    state: dict[str, dict[str, Any]] = copy.deepcopy(whole.collect()["state"])
    return state


def _expect_equal(run: _Run, other: _Run, how: str) -> None:
    ours, theirs = run.weights(), other.weights()
    for name, tensor in ours.items():
        expect(
            torch.equal(tensor, theirs[name]),
            f"{how}, {name} differs at update {run.step}: it keeps something that is neither in "
            "`optimizer.state` of a parameter nor named in `progress`, or draws random numbers",
        )


def _through_file(document: dict[str, Any]) -> tuple[Any, Any]:
    """Return what a file of a state holds, and how it describes that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, files.OPTIMIZER)
        with path.open("wb") as stream:
            write_tensors(stream, document)
        contents = copy.deepcopy(load_tensors(path, path.name))
        return contents, read_header(path, path.name).contents
