"""What the settings of saves and logs are called."""

from mypt.format.names.counterparts.counterpart import Counterpart

_LOGS = (
    "the log is JSON lines, drawn by `mypt plot`; a plugin may be a sink, as mypt-wandb and "
    "mypt-tensorboard"
)
_SAVES = (
    "each evaluation also saves; {save_interval} saves in between, {snapshot_interval} keeps"
    " numbered copies"
)

SAVING = (
    Counterpart(
        ours="save_interval snapshot_interval",
        how=_SAVES,
        hugging_face="save_steps save_strategy",
        litgpt="train.save_interval",
        karpathy="save_every checkpoint_every",
        habits="save_freq ckpt_interval checkpoint_interval ckpt_every",
    ),
    Counterpart(
        ours="ema",
        how="it is the decay of a mean of the weights, which is kept beside, as MODEL_ema",
        habits="ema_decay use_ema model_ema ema_rate swa",
    ),
    Counterpart(
        ours="save_minutes",
        habits="save_every_minutes save_time ckpt_minutes",
    ),
    Counterpart(
        ours="keep_snapshots",
        how=_SAVES,
        hugging_face="save_total_limit",
        karpathy="checkpoints_keep",
        habits="keep_last max_checkpoints keep_checkpoints",
    ),
    Counterpart(
        how="each evaluation saves, and the best model is kept beside, as MODEL_gold",
        nanogpt="always_save_checkpoint",
        habits="save save_model",
    ),
    Counterpart(
        how="a run also saves a half-precision copy for inference, as MODEL_fp16",
        earlier="save_dtype",
        habits="save_fp16",
    ),
    Counterpart(
        how="`mypt export` writes a folder for Hugging Face",
        hugging_face="push_to_hub hub_model_id",
    ),
)

LOGGING = (
    Counterpart(
        ours="log_interval",
        hugging_face="logging_steps",
        litgpt="train.log_interval",
        habits="log_every log_freq print_every logging_interval log_every_n_steps",
    ),
    Counterpart(
        ours="log_sinks",
        how=_LOGS,
        nanogpt="wandb_log wandb_project wandb_run_name",
        hugging_face="report_to run_name",
        litgpt="logger_name",
        karpathy="run",
        habits="wandb use_wandb wandb_name wandb_entity wandb_mode tensorboard tb logger project",
    ),
    Counterpart(
        ours="log_file",
        hugging_face="logging_dir",
        habits="log_dir log logfile log_path",
    ),
    Counterpart(
        how="what is printed goes where the shell sends it: mypt train ... 2>&1 | tee FILE",
        earlier="terminal_log_file",
    ),
)
