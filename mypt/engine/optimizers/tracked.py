"""An optimizer by the names of its parameters: what it keeps is collected, checked and restored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from mypt.engine.runtime.fsdp import is_part, local_part
from mypt.format.errors import MyptError, PluginError, Problem
from mypt.format.optimizers.declaration import (
    ParameterInfo,
    StateNumber,
    StateTensor,
    is_number,
    is_plain,
)
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.weight_mean import KEY, drop_mean
from mypt.format.rules.optimizers.state import find_misfits, is_progress
from mypt.plugins.isolation import summarize_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from torch import nn

    from mypt.engine.averaging.weight_mean import WeightMean
    from mypt.format.optimizers.declaration import Kept
    from mypt.model.transformer import Transformer
    from mypt.plugins.contracts.training import OptimizerFactory
    from mypt.plugins.manager import Plugins

Document = dict[str, Any]
# What a run sets itself, and what names parameters.
_OURS = frozenset({"lr", "initial_lr", "params", "param_names"})


def parameters_of(model: nn.Module) -> dict[str, ParameterInfo]:
    """Return a model's parameters by name, in their order."""
    return {
        name: ParameterInfo(name, tuple(parameter.shape), _name_dtype(parameter.dtype))
        for name, parameter in model.named_parameters()
    }


def describe_settings(group: Mapping[str, Any], factory: OptimizerFactory) -> dict[str, Any]:
    """Return the settings of a group that are saved, but for its learning rates."""
    named = ("name",) if "name" in group else ()
    return {key: group[key] for key in (*named, *factory.settings, *factory.progress)}


class TrackedOptimizer:
    """An optimizer of a model, with the factory that says what it keeps.

    Attributes:
        name: Name of the factory.
        optimizer: The optimizer; its groups stay the same objects.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        model: Transformer,
        name: str,
        mean: WeightMean | None = None,
    ) -> None:
        """Track an optimizer.

        Args:
            optimizer: The optimizer, of parameters of the model.
            model: The model, on its device.
            name: The optimizer's name, as a training config has it.
            mean: The mean of the weights that is saved beside its state; None for none.

        Raises:
            PluginError: No plugin offers it; or a group lacks a setting that it declares, or has
                one that cannot be saved; or it keeps something under the name of the mean.
        """
        self.name, self.optimizer = name, optimizer
        self._means = {} if mean is None else mean.values
        self._factory = model.plugins.optimizer(name)
        self._plugins = model.plugins
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        for group in optimizer.param_groups:
            self._check_settings(group)
        self._fixed = [self._read_fixed(group) for group in optimizer.param_groups]
        infos = parameters_of(model)
        self._kept: dict[str, Kept] = {
            self._names[parameter]: self._factory.state(infos[self._names[parameter]], group)
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        self._usual = {
            name: {
                key: (torch.Size(value.shape), _choose_dtype(value, parameter))
                for key, value in kept.items()
                if isinstance(value, StateTensor)
            }
            for (name, kept), parameter in zip(
                self._kept.items(), self._list_parameters(), strict=True
            )
        }
        if self._means and any(KEY in kept for kept in self._kept.values()):
            self._refuse(f"keeps `{KEY}` itself, so no mean of the weights can be kept beside it")

    def collect(self) -> Document:
        """Return the content of `optimizer.pt` as it is now; its tensors are the optimizer's own.

        Raises:
            PluginError: The optimizer keeps something else than it declares, or changed a setting
                of a group that its `progress` does not name.
        """
        self._check_fixed()
        groups = self.optimizer.param_groups
        peaks = {group.get("initial_lr") for group in groups if group["params"]}
        rates = ("lr", "initial_lr") if len(peaks) > 1 else ("lr",)
        listed = [
            (
                [self._names[parameter] for parameter in group["params"]],
                {
                    **{key: group[key] for key in rates},
                    **describe_settings(group, self._factory),
                },
            )
            for group in groups
        ]
        return optimizer_document(self.name, dict(self._collect_state()), listed)

    @property
    def mean_bytes(self) -> int:
        """Bytes of the mean of the weights, of which this process may hold a part."""
        return sum(value.numel() * value.element_size() for value in self._means.values())

    def expect(
        self, trained: Collection[torch.Tensor], *, mean: bool = True
    ) -> dict[str, dict[str, torch.Tensor]]:
        """Return the tensors that it will keep after an update, as tensors without memory.

        Args:
            trained: The parameters that get gradients; others are those that have a state already.
            mean: Whether the mean of the weights counts, where there is one.
        """
        means = self._means if mean else {}
        return {
            name: {
                key: torch.empty(shape, dtype=dtype, device="meta")
                for key, (shape, dtype) in (
                    *tensors.items(),
                    *([(KEY, (parameter.shape, torch.float32))] if name in means else []),
                )
            }
            for (name, tensors), parameter in zip(
                self._usual.items(), self._list_parameters(), strict=True
            )
            if parameter in trained or parameter in self.optimizer.state
        }

    def list_doubts(self) -> list[str]:
        """Return why what it goes on from may not be what it was, bit for bit.

        A sharded tensor of another shape than its parameter is whole in each process after it was
        restored; the optimizer may have had it in parts, and sums of parts are rounded otherwise.
        """
        for parameter, name in self._names.items():
            shapes = {
                v.shape
                for v in self._kept.get(name, {}).values()
                if isinstance(v, StateTensor) and not v.is_whole
            }
            is_kept = is_part(parameter) and parameter in self.optimizer.state
            if is_kept and shapes - {(), tuple(parameter.shape)}:
                what = f"what {self.name} keeps beside its parameters' shapes"
                return [f"{what} is whole in each process"]
        return []

    def count_fresh(self, trained: Collection[torch.Tensor]) -> tuple[int, int]:
        """Return of how many parameters the state begins anew, and of how many it keeps one.

        Args:
            trained: The parameters that get gradients.
        """
        keeping = [
            parameter
            for kept, parameter in zip(self._kept.values(), self._list_parameters(), strict=True)
            if kept and parameter in trained
        ]
        return sum(not self.optimizer.state.get(p) for p in keeping), len(keeping)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Let the optimizer go on from a state; what it would keep otherwise now begins anew.

        Args:
            saved: The content of an `optimizer.pt` of this model, maybe of another optimizer.
        """
        is_same = saved["optimizer"] == self.name
        groups = saved["param_groups"] if is_same else ()
        before = {name: group for group in groups for name in group["params"]}
        for group in self.optimizer.param_groups:
            names = tuple(self._names[parameter] for parameter in group["params"])
            for key in self._factory.progress if is_same else ():
                values = {before[name][key] for name in names}
                if len(values) == 1:  # also where the groups are cut in another way now
                    group[key] = values.pop()
            is_fast = bool(group.get("fused") or group.get("capturable"))
            for name, parameter in zip(names, group["params"], strict=True):
                kept, held = self._kept[name], saved["state"].get(name, {})
                held = drop_mean(held, kept)
                entry = {key: value for key, value in held.items() if is_same or key in kept}
                if entry and not any(find_misfits(entry, kept)):
                    self.optimizer.state[parameter] = {
                        key: _place(entry[key], kept[key], parameter, key == "step", is_fast)
                        for key in kept
                    }

    def _list_parameters(self) -> Iterator[nn.Parameter]:
        for group in self.optimizer.param_groups:
            yield from group["params"]

    def _collect_state(self) -> Iterator[tuple[str, dict[str, Any]]]:
        of_groups = 0
        for parameter in self._list_parameters():
            of_groups += parameter in self.optimizer.state
            name, kept = self._names[parameter], self._collect_entry(parameter)
            if name in self._means and (kept or not self._kept[name]):  # it has been updated
                kept = {**kept, KEY: self._means[name]}
            if kept:
                yield name, kept
        if len(self.optimizer.state) > of_groups:
            self._refuse("keeps state that belongs to no parameter of its groups")

    def _collect_entry(self, parameter: nn.Parameter) -> dict[str, Any]:
        entry, name = self.optimizer.state.get(parameter), self._names[parameter]
        if not entry:
            return {}
        if is_part(parameter) or not self._fits(name, entry):
            self._check_entry(name, entry, parameter)
        return {key: entry[key] for key in self._kept[name]}

    def _fits(self, name: str, entry: Mapping[str, Any]) -> bool:
        """Return whether a parameter's state is what is declared, of tensors alone.

        A save waits for this; `_check_entry` takes ten times as long.
        """
        usual = self._usual[name]
        return entry.keys() == usual.keys() and all(
            isinstance(value, torch.Tensor) and (value.shape, value.dtype) == usual[key]
            for key, value in entry.items()
        )

    def _check_entry(self, name: str, entry: Mapping[str, Any], parameter: nn.Parameter) -> None:
        """Raise if a parameter's state is not what is declared.

        Raises:
            PluginError: It is not, or belongs to this process alone.
        """
        for key, value in entry.items():
            if not (isinstance(value, torch.Tensor) or is_number(value)):
                what = f"keeps `{key}` of {name}, a {type(value).__name__}"
                self._refuse(f"{what}: only tensors and numbers can be saved")
        kept = self._kept[name]
        for key, what, _ in find_misfits(entry, kept):
            self._refuse(f"keeps for {name} what its `state` does not say: {key or 'it'} {what}")
        for key, value in entry.items():
            if isinstance(kept[key], StateTensor) and is_number(value):
                self._refuse(f"keeps `{key}` of {name} as a number, and declares a tensor")
            if is_part(parameter) and not is_number(value) and value.dim() and not is_part(value):
                self._refuse(
                    f"keeps `{key}` of {name} for this process alone: it cannot be sharded"
                )

    def _check_settings(self, group: Mapping[str, Any]) -> None:
        for key in (*self._factory.settings, *self._factory.progress):
            if key not in group:
                self._refuse(f"has a group without `{key}`, which it declares")
        for key, value in describe_settings(group, self._factory).items():
            if not is_plain(value):
                what = f"has a group whose `{key}` is a {type(value).__name__}"
                self._refuse(f"{what}: only numbers, texts and lists of them can be saved")
        for key in self._factory.progress:
            if not is_progress(group[key]):
                self._refuse(f"has a group whose `{key}`, its progress, is no finite number")

    def _read_fixed(self, group: Mapping[str, Any]) -> dict[str, Any]:
        moving = _OURS.union(self._factory.progress)
        return {k: value for k, value in group.items() if k not in moving and is_plain(value)}

    def _check_fixed(self) -> None:
        for group, before in zip(self.optimizer.param_groups, self._fixed, strict=True):
            for key, value in before.items():
                if group.get(key) != value:
                    what = f"changed `{key}` of a group from {value} to {group.get(key)}"
                    self._refuse(f"{what}, and its `progress` does not name it")

    def _refuse(self, what: str) -> None:
        raise refuse_optimizer(self.name, self._plugins, what)


def refuse_optimizer(name: str, plugins: Plugins, what: str) -> PluginError:
    """Return the error of an optimizer whose plugin does not keep its contract."""
    source = plugins.source_of("mypt_optimizers", name)
    place = f"the optimizer {name}" + ("" if source is None else f" of the {source}")
    fix = "update that plugin, or train with another optimizer"
    return PluginError(Problem("", place, what, fix, kind="plugin.optimizer"))


@contextmanager
def naming_failures(name: str, plugins: Plugins) -> Iterator[None]:
    """Turn what an optimizer of a plugin raises in an update into an error that names the plugin.

    Raises:
        PluginError: It raised something that is not for the user already.
    """
    try:
        yield
    except MyptError:
        raise
    except Exception as error:
        source = plugins.source_of("mypt_optimizers", name)
        if source is None or source.is_built_in:
            raise
        raise refuse_optimizer(name, plugins, f"failed: {summarize_error(error)}") from error


def _place(
    value: Any,
    kept: StateTensor | StateNumber,
    parameter: nn.Parameter,
    is_step: bool,
    is_fast: bool,
) -> Any:
    """Return a value where the optimizer would have it: as torch does, but in its declared dtype.

    torch keeps the counter `step` on the CPU, unless the update is fused or captured.
    """
    if isinstance(kept, StateNumber):
        return value
    value = torch.as_tensor(value, dtype=_choose_dtype(kept, parameter))
    if is_step and not is_fast:
        return value
    return local_part(value, parameter).to(parameter.device)


def _choose_dtype(kept: StateTensor, parameter: nn.Parameter) -> torch.dtype:
    dtype: torch.dtype = parameter.dtype if kept.dtype is None else getattr(torch, kept.dtype)
    return dtype


def _name_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
