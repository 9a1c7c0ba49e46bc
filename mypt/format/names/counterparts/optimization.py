"""What the settings of updates are called: how many, on what, and by which rule."""

from mypt.format.names.counterparts.counterpart import Counterpart

_SCHEDULE = "the rate falls from {learning_rate}, by {lr_schedule}, to {min_lr} at {max_iters}"
_BATCH = "an update is on {batch_size} x {grad_accum_steps} sequences, of all processes together"

OPTIMIZATION = (
    Counterpart(
        ours="max_iters",
        hugging_face="max_steps",
        litgpt="train.max_steps",
        karpathy="num_iterations",
        habits="steps num_steps n_steps iters num_iters n_iters iterations max_iter total_steps"
        " train_steps max_iterations",
    ),
    Counterpart(
        ours="max_iters",
        how="a run counts updates; {sampling} `epoch` draws each window once before any is"
        " repeated",
        hugging_face="num_train_epochs",
        litgpt="train.epochs",
        habits="epochs n_epochs num_epochs max_epochs epoch",
    ),
    Counterpart(
        ours="max_tokens",
        how="an update takes {batch_size} x {grad_accum_steps} x {block_size} tokens, and the"
        " learning rate falls until {max_iters} all the same",
        litgpt="train.max_tokens",
        habits="total_tokens train_tokens",
    ),
    Counterpart(
        ours="max_minutes",
        how="it is in minutes, over all runs of the model",
        habits="max_time max_hours max_seconds time_limit max_train_time train_time",
    ),
    Counterpart(
        ours="learning_rate",
        litgpt="optimizer.lr optimizer.init_args.lr",
        habits="lr max_lr peak_lr base_lr lerning_rate alpha step_size",
    ),
    Counterpart(
        ours="min_lr",
        how="null is a tenth of {learning_rate} with {lr_schedule} cosine, and else 0",
        litgpt="train.min_lr",
        karpathy="learning_rate_decay_frac final_lr_frac",
        habits="min_learning_rate lr_min final_lr end_lr eta_min",
    ),
    Counterpart(
        ours="lr_schedule",
        how="one of constant, cosine, linear and wsd, or a plugin's",
        nanogpt="decay_lr",
        hugging_face="lr_scheduler_type",
        habits="lr_scheduler scheduler schedule lr_decay cosine",
    ),
    Counterpart(
        ours="lr_schedule_options",
        how="as JSON; wsd has decay_iters, a number of updates or a fraction of {max_iters}",
        hugging_face="lr_scheduler_kwargs",
        karpathy="warmdown_ratio",
        habits="warmdown_iters cooldown_iters cooldown_frac decay_frac",
    ),
    Counterpart(
        ours="max_iters",
        how=_SCHEDULE,
        nanogpt="lr_decay_iters",
        habits="decay_steps",
    ),
    Counterpart(
        ours="learning_rate",
        how="one rate is for all parameters; Python's `fit` takes an optimizer with groups",
        karpathy="embedding_lr unembedding_lr matrix_lr scalar_lr",
    ),
    Counterpart(
        ours="warmup_iters",
        how="a value below 1 is a fraction of {max_iters}",
        hugging_face="warmup_steps warmup_ratio",
        litgpt="train.lr_warmup_steps train.lr_warmup_fraction",
        karpathy="warmup_steps warmup_ratio",
        habits="warmup num_warmup_steps lr_warmup warmup_frac",
    ),
    Counterpart(
        ours="batch_size",
        how=_BATCH,
        hugging_face="per_device_train_batch_size",
        litgpt="train.micro_batch_size",
        karpathy="device_batch_size",
        habits="bs micro_batch_size mbs train_batch_size batchsize",
    ),
    Counterpart(
        ours="batch_size",
        how="evaluation takes batches of the same size",
        hugging_face="per_device_eval_batch_size",
        habits="eval_batch_size val_batch_size",
    ),
    Counterpart(
        ours="grad_accum_steps",
        nanogpt="gradient_accumulation_steps",
        hugging_face="gradient_accumulation_steps",
        habits="grad_accum accum_steps accumulate_grad_batches grad_accumulation"
        " gradient_accumulation grad_acc_steps grad_accumulation_steps accumulation_steps ga",
    ),
    Counterpart(
        ours="grad_accum_steps",
        how=_BATCH,
        litgpt="train.global_batch_size",
        karpathy="total_batch_size",
        habits="global_batch_size tokens_per_batch effective_batch_size",
    ),
    Counterpart(
        ours="grad_clip",
        hugging_face="max_grad_norm",
        litgpt="train.max_norm",
        habits="clip clip_grad gradient_clip_val gradient_clip grad_norm_clip clip_grad_norm"
        " grad_norm gradient_clipping",
    ),
    Counterpart(
        ours="weight_decay",
        litgpt="optimizer.init_args.weight_decay",
        habits="wd decay l2",
    ),
    Counterpart(
        ours="beta1 beta2",
        hugging_face="adam_beta1 adam_beta2",
        litgpt="optimizer.init_args.betas",
        habits="betas adam_betas",
    ),
    Counterpart(
        ours="loss_options",
        how="label_smoothing and z_loss are keys of {loss_options}, a JSON object",
        hugging_face="label_smoothing_factor",
        habits="label_smoothing z_loss z_loss_factor z_loss_weight z_loss_multiplier smoothing",
    ),
    Counterpart(
        ours="loss loss_options",
        how="{loss} is cross_entropy or a plugin's",
        habits="criterion loss_fn loss_function loss_type loss_func",
    ),
    Counterpart(
        ours="optimizer optimizer_options",
        how="{optimizer} is adamw, muon, adafactor, sgd or a plugin's, with {optimizer_options}",
        hugging_face="optim optim_args adafactor",
        litgpt="optimizer.class_path",
        habits="optimiser opt optimizer_kwargs optimizer_name muon sgd",
    ),
    Counterpart(
        how="adamw has {learning_rate}, {beta1}, {beta2}, {weight_decay} and torch's eps",
        hugging_face="adam_epsilon",
        habits="eps adamw",
    ),
    Counterpart(
        ours="optimizer_options",
        how="muon and sgd have a momentum: {optimizer_options} '{\"momentum\": 0.95}'",
        habits="momentum nesterov ns_steps muon_momentum",
    ),
    Counterpart(
        ours="optimizer_options",
        how="that of muon's matrices is in {optimizer_options}: '{\"muon_learning_rate\": 0.02}'",
        habits="muon_learning_rate muon_lr",
    ),
    Counterpart(ours="seed", hugging_face="data_seed", habits="random_seed manual_seed rng_seed"),
    Counterpart(
        ours="freeze_layers freeze_embeddings",
        how="fine-tuning trains all weights, except those that are frozen",
        habits="freeze freeze_n frozen_layers",
    ),
    Counterpart(
        ours="lora_rank",
        how="with it an adapter is trained beside the weights of {init_from_model}",
        litgpt="lora_r",
        habits="lora use_lora use_peft peft lora_dim",
    ),
    Counterpart(
        ours="lora_targets",
        litgpt="lora_query lora_key lora_value lora_projection lora_mlp",
        habits="target_modules lora_target_modules",
    ),
    Counterpart(
        ours="dpo_beta",
        how="of data sets that `mypt data preferences` wrote",
        habits="beta_dpo dpo use_dpo",
    ),
)
