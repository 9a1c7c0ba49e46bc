"""What the settings of evaluations are called, and of the end that a loss may bring."""

from mypt.format.names.counterparts.counterpart import Counterpart

_NO_SAMPLES = "no text is generated while training: `mypt generate` continues what was saved last"

EVALUATION = (
    Counterpart(
        ours="eval_interval",
        hugging_face="eval_steps",
        litgpt="eval.interval",
        karpathy="val_loss_every eval_every",
        habits="eval_freq val_interval val_check_interval eval_period validate_every",
    ),
    Counterpart(
        ours="eval_iters",
        litgpt="eval.max_iters",
        karpathy="val_max_steps eval_tokens",
        habits="eval_batches val_batches limit_val_batches val_iters val_steps max_eval_samples",
    ),
    Counterpart(
        how="`mypt generate MODEL --score FILE` measures the loss of a model on a text",
        nanogpt="eval_only",
        hugging_face="do_eval do_train do_predict",
        karpathy="inference_only",
    ),
    Counterpart(
        how=_NO_SAMPLES,
        litgpt="eval.max_new_tokens",
        karpathy="sample_every",
        earlier="eval_prompts_file eval_max_new_tokens",
        habits="sample_interval sample_prompt",
    ),
    Counterpart(
        ours="gold_metric",
        how="the best model is kept beside the last one, as MODEL_gold",
        hugging_face="load_best_model_at_end metric_for_best_model",
        habits="save_best",
    ),
    Counterpart(
        ours="stop_after_evals_without_gain",
        how="the best model is kept beside the last one, as MODEL_gold",
        hugging_face="early_stopping_patience",
        habits="early_stopping patience early_stop",
    ),
    Counterpart(
        ours="target_loss",
        habits="stop_loss loss_target stopping_threshold",
    ),
)
