"""The JSON documents of format 2 as frozen classes; the schemas are the source of truth.

A test compares names, types and defaults with `schemas/v2/`. The classes that are needed to look
at a bundle have modules of their own, so that no others are built for it.
"""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from mypt.format.calls.signatures import checks_calls
from mypt.format.documents.construction import settle_fields
from mypt.format.documents.provenance import Provenance
from mypt.format.optimizers.adamw import NAME as ADAMW


@frozen(kw_only=True)
class Phase:
    """A stretch of a run on data of its own, one of `TrainingConfig.curriculum`."""

    name: str
    until_iter: int | None = None
    input_file: str | tuple[str, ...] | None = None
    dataset_dir: str | None = None
    mixture: Mapping[str, float] = field(factory=dict)
    description: str = ""
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class BatchStretch:
    """A stretch of a run with a batch size of its own, one of `TrainingConfig.batch_schedule`."""

    from_iter: int
    grad_accum_steps: int
    extra: Mapping[str, Any] = field(factory=dict)


@checks_calls
@frozen(kw_only=True)
class TrainingConfig:
    """Everything that shapes a run and may change between runs.

    Every field is described in `schemas/v2/training_state.schema.json`.

    Attributes:
        absent: Names of the fields that its document leaves out: nobody knows what they were.
    """

    max_iters: int = 1000
    max_minutes: float | None = None
    max_tokens: int | None = None
    target_loss: float | None = None
    stop_after_evals_without_gain: int = 0
    eval_interval: int = 100
    eval_iters: int = 20
    terminate_on_nan: bool = True
    learning_rate: float = 0.0003
    start_step: int = 0
    warmup_iters: float = 0.0
    lr_schedule: str = "cosine"
    lr_schedule_options: Mapping[str, Any] = field(factory=dict)
    min_lr: float | None = None
    grad_clip: float = 1.0
    optimizer: str = ADAMW
    optimizer_options: Mapping[str, Any] = field(factory=dict)
    weight_decay: float = 0.1
    weight_decay_on: Literal["linear", "matrices", "all"] = "linear"
    weight_decay_schedule: Literal["constant", "linear", "cosine"] = "constant"
    beta1: float = 0.9
    beta2: float = 0.95
    grad_accum_steps: int = 1
    batch_schedule: tuple[BatchStretch, ...] = ()
    loss: str = "cross_entropy"
    loss_options: Mapping[str, Any] = field(factory=dict)
    dpo_beta: float = 0.1
    ema: float = 0.0
    activation_checkpointing: bool = False
    compile: bool = False
    shard: bool = False
    sharded_saves: bool = False
    use_amp: bool = True
    amp_dtype: Literal["bf16", "fp16"] = "bf16"
    seed: int = 1337
    config_file: str | None = None
    input_file: str | tuple[str, ...] | None = None
    val_file: str | tuple[str, ...] | None = None
    dataset_dir: str | None = None
    mixture: Mapping[str, float] = field(factory=dict)
    data_source: str | None = None
    data_options: Mapping[str, Any] = field(factory=dict)
    document_mask: bool = False
    eval_dataset_dir: str | None = None
    eval_sets: Mapping[str, str] = field(factory=dict)
    sampling: Literal["random", "epoch"] = "random"
    packing: bool = False
    curriculum: tuple[Phase, ...] = ()
    init_from_model: str | None = None
    special_tokens: Mapping[str, Any] = field(factory=dict)
    chat_template: str | None = None
    lora_rank: int = 0
    lora_alpha: float | None = None
    lora_targets: tuple[str, ...] = ()
    lora_dropout: float = 0.0
    freeze_layers: int = 0
    freeze_embeddings: bool = False
    log_file: str | None = None
    log_sinks: Mapping[str, Any] = field(factory=dict)
    log_interval: int = 10
    snapshot_interval: int = 0
    keep_snapshots: int = 0
    save_interval: int = 0
    save_minutes: float = 0.0
    gold_guards: Mapping[str, Any] = field(factory=dict)
    gold_metric: Mapping[str, float] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)
    absent: frozenset[str] = field(factory=frozenset, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check the fields by the schema.

        Raises:
            ConfigError: One is of the wrong type or out of range.
        """
        settle_fields(self, "training_state", "training_config")

    @property
    def warmup_steps(self) -> int:
        """Number of updates of linear warm-up, with a fraction resolved against max_iters."""
        if 0 < self.warmup_iters < 1:
            return int(self.warmup_iters * self.max_iters)
        return int(self.warmup_iters)

    @property
    def gold_loss_name(self) -> str:
        """Name of the loss that selects gold: `gold_loss` is the weighted mean of `gold_metric`."""
        return "gold_loss" if self.gold_metric else "val_loss"

    @property
    def is_gold_averaged(self) -> bool:
        """Whether gold is the mean of the weights, as its loss alone selects gold."""
        return self.ema > 0 and [*self.gold_metric] == ["ema"]


@frozen(kw_only=True)
class DataFingerprint:
    """The identity of the training data, so that a resume can detect a change."""

    source: str
    sha256: str
    train_tokens: int
    val_tokens: int
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class EpochPlace:
    """The place in the epochs of `sampling: epoch`.

    Attributes:
        windows: Windows drawn in this phase, so the place of the next one.
        per_epoch: Windows of one epoch.
        sha256: SHA-256 of the data of the phase.
    """

    windows: int
    per_epoch: int
    sha256: str
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Decision:
    """The outcome of a model's evaluation: whether it was promoted to gold."""

    step: int
    promoted: bool
    reasons: tuple[str, ...]
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class GoldMemory:
    """The state of gold selection: its best model and each guard's own state."""

    best_val_loss: float | None = None
    best_step: int | None = None
    guards: Mapping[str, Any] = field(factory=dict)
    decision: Decision | None = None
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class StopMemory:
    """What may end a run before `max_iters` remembers of its evaluations."""

    step: int
    loss: float | None
    lowest_loss: float | None
    evals_without_gain: int
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Ancestor:
    """A model from which the initial weights came."""

    model: str
    step: int
    sha256: str
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Environment:
    """What computed the last updates; if it changes, later updates differ.

    Attributes:
        plugins: The plugins that the run needs, by package, as in `Manifest`.
    """

    torch: str
    device: str
    device_name: str
    threads: int
    world_size: int
    mypt: str | None = None
    plugins: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class TrainingState:
    """Progress and hyperparameters: `training_state.json`.

    Attributes:
        step: Number of optimizer updates done.
        absent: Names of the fields that its document leaves out: nobody knows what they were.
    """

    step: int
    optimizer_file: str | None = None
    tokens_processed: int = 0
    elapsed_s: float = 0.0
    training_config: TrainingConfig = field(factory=TrainingConfig)
    phase: str | None = None
    epoch: EpochPlace | None = None
    data: DataFingerprint | None = None
    gold: GoldMemory | None = None
    stopping: StopMemory | None = None
    lineage: tuple[Ancestor, ...] = ()
    environment: Environment | None = None
    provenance: Provenance | None = None
    earlier_runs: tuple[Provenance, ...] = ()
    scaler: Mapping[str, Any] | None = None
    exact: bool = True
    inexact_reasons: tuple[str, ...] = ()
    run_id: str | None = None
    copy_of: str | None = None
    mean_decay: float | None = None
    sinks: Mapping[str, Any] = field(factory=dict)
    plugins: Mapping[str, Any] = field(factory=dict)
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict)
    absent: frozenset[str] = field(factory=frozenset, eq=False, repr=False)

    @property
    def evaluated_step(self) -> int | None:
        """The step that was evaluated last; None if it is not recorded."""
        decision = self.gold.decision if self.gold else None
        return None if decision is None else decision.step

    @property
    def last_evaluation(self) -> int:
        """The step that was evaluated last, also where that is not recorded; -1 for none.

        A run evaluates its first step; of a later one that records none, another program says
        nothing.
        """
        if self.evaluated_step is not None:
            return self.evaluated_step
        return self.step if self.step > 0 else -1
