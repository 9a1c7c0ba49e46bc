"""A log sink that makes a run of Weights & Biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wandb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins import RunInfo

_LOSS, _EVAL = "_loss", "eval_"
_OF_A_STEP = ("lr", "grad_norm", "tokens_per_sec", "mfu", "memory_bytes", "tokens_processed")
_OF_THE_END = ("final_val_loss", "final_train_loss", "best_val_loss", "gold_step", "total_tokens")


class WandbSink:
    """Logs steps, evaluations and gold by the step of the run; saves and the end in its summary.

    The run is begun at the first event. A mypt run that goes on is the same run there.
    """

    def __init__(self, run: RunInfo) -> None:
        """Prepare.

        Args:
            run: The run of mypt.
        """
        self._mypt_run = run
        self._run: Any = None
        self._exit_code = 0

    def emit(self, event: Mapping[str, Any]) -> None:
        """Receive one event."""
        handle = getattr(self, f"_log_{event['event']}", None)
        if handle is not None:
            handle(event)

    def state(self) -> Mapping[str, Any]:
        """Return the identity of the run there."""
        return dict(self._mypt_run.state) if self._run is None else {"id": self._run.id}

    def close(self) -> None:
        """End the run there: as a failed one where it failed."""
        if self._run is not None:
            self._run.finish(exit_code=self._exit_code)

    def _open_run(self) -> Any:
        if self._run is None:
            run, options = self._mypt_run, dict(self._mypt_run.options)
            known = run.state.get("id")
            self._run = wandb.init(
                project=options.pop("project", "mypt"),
                name=options.pop("name", run.model_name),
                dir=None if run.log_file is None else run.log_file.parent,
                id=known,
                resume=None if known is None else "allow",
                reinit="create_new",
                # mypt prints what there is to say; its moving bar is nothing to record.
                settings=wandb.Settings(console="off", silent=run.quiet),
                **options,
            )
            self._run.define_metric("loss/val", summary="min,last")
        return self._run

    def _log_training_start(self, event: Mapping[str, Any]) -> None:
        settings = {**event["config"], "model": event["model"]}
        settings |= {"environment": event.get("environment"), "mypt_run_id": event.get("run_id")}
        self._open_run().config.update(settings, allow_val_change=True)

    def _log_step(self, event: Mapping[str, Any]) -> None:
        figures = {f"step/{name}": event[name] for name in _OF_A_STEP}
        self._log(event, {"step/loss": event["train_loss"], **figures})

    def _log_eval(self, event: Mapping[str, Any]) -> None:
        names = ("train_loss", "val_loss")
        losses = {f"loss/{name.removesuffix(_LOSS)}": event[name] for name in names}
        sets = {
            f"loss/{name.removeprefix(_EVAL)}": loss
            for name, loss in event.items()
            if name.startswith(_EVAL) and name != "eval_duration_s"
        }
        self._log(event, {**losses, **sets, "phase": event["phase"]})

    def _log_gold_checkpoint(self, event: Mapping[str, Any]) -> None:
        self._log(event, {"loss/gold": event["val_loss"]})
        self._open_run().summary["gold_step"] = event["iter"]

    def _log_saved(self, event: Mapping[str, Any]) -> None:
        saved = {name: event[name] for name in ("folder", "size_bytes", "save_duration_s")}
        self._open_run().summary["saved"] = {"step": event["iter"], **saved}

    def _log_training_complete(self, event: Mapping[str, Any]) -> None:
        self._open_run().summary.update({name: event[name] for name in _OF_THE_END})

    def _log_failed(self, event: Mapping[str, Any]) -> None:
        self._exit_code = 1
        self._open_run().summary["failed"] = f"{event['error']}: {event['reason']}"

    def _log(self, event: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Log values, without those that are not known or not finite."""
        known = {name: value for name, value in values.items() if value is not None}
        self._open_run().log(known, step=event["iter"])
