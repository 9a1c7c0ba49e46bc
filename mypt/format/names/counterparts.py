"""The one table of what other programs call our settings and commands.

The names are those of nanoGPT (train.py, sample.py), of Hugging Face's Trainer, configs and
`generate`, of litgpt, of llm.c's train_gpt2.py and nanochat, and of the earlier MyPT, and habits
that none of them documents. `docs/write_names.py` makes a page of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = {
    "nanogpt": "nanoGPT",
    "hugging_face": "Hugging Face",
    "litgpt": "litgpt",
    "karpathy": "llm.c, nanochat",
    "earlier": "earlier MyPT",
}


@frozen(kw_only=True)
class Counterpart:
    """What does in mypt what other programs do by these names.

    Attributes:
        ours: Our names, separated by spaces. The first ones that exist where a name was used are
            meant; where several rows have a name, so is the first row that has one of these.
        how: What to do instead, or besides, in one line; our names are in braces.
        nanogpt: The names of each program, separated by spaces; as `PROGRAMS`.
        hugging_face: See `nanogpt`.
        litgpt: See `nanogpt`.
        karpathy: See `nanogpt`.
        earlier: See `nanogpt`.
        habits: What people write by habit.
    """

    ours: str = ""
    how: str = ""
    nanogpt: str = ""
    hugging_face: str = ""
    litgpt: str = ""
    karpathy: str = ""
    earlier: str = ""
    habits: str = ""

    @property
    def names(self) -> Iterator[str]:
        """The names of all programs."""
        for program in (*PROGRAMS, "habits"):
            yield from getattr(self, program).split()


_SCHEDULE = "the rate falls from {learning_rate}, by {lr_schedule}, to {min_lr} at {max_iters}"
_BATCH = "an update is on {batch_size} x {grad_accum_steps} sequences, of all processes together"
_PRECISION = (
    "weights are float32; on a GPU, steps are computed in {amp_dtype}, unless {use_amp} is false"
)
_LOGS = (
    "the log is JSON lines, drawn by `mypt plot`; a plugin may be a sink, as mypt-wandb and "
    "mypt-tensorboard"
)
_SAVES = (
    "each evaluation also saves; {save_interval} saves in between, {snapshot_interval} keeps"
    " numbered copies"
)
_PROCESSES = "start several processes: torchrun --nproc-per-node=N -m mypt train ..."
_NO_SEARCH = "there is no search: each token is drawn, or with {temperature} 0 the likeliest"
_NO_SAMPLES = "no text is generated while training: `mypt generate` continues what was saved last"

MODEL = (
    Counterpart(
        ours="output",
        nanogpt="out_dir",
        hugging_face="output_dir",
        karpathy="output_dir",
        habits="out save_dir output_file dest",
    ),
    Counterpart(
        ours="init_from_model",
        how="a run resumes by itself: the same {model_name} goes on",
        nanogpt="init_from",
        hugging_face="model_name_or_path",
        litgpt="initial_checkpoint_dir checkpoint_dir",
        habits="pretrained from_pretrained load_from base_model pretrained_model finetune_from",
    ),
    Counterpart(
        how="a run resumes by itself: the same {model_name} goes on, where it stopped",
        hugging_face="resume_from_checkpoint",
        litgpt="resume",
        karpathy="resume_from_step load_optimizer",
        habits="resume_from continue continue_from auto_resume restart",
    ),
    Counterpart(
        ours="legacy_checkpoint",
        how="{model_name} names the model, or the file itself",
        earlier="checkpoint",
        habits="ckpt_name",
    ),
    Counterpart(
        ours="model_name",
        how="a model is a folder in checkpoints/, by its name",
        nanogpt="out_dir init_from",
        hugging_face="output_dir model_name_or_path",
        litgpt="out_dir checkpoint_dir",
        karpathy="output_dir model_tag model",
        habits="name model_dir model_path save_dir ckpt ckpt_dir ckpt_path checkpoint"
        " checkpoint_path load pretrained",
    ),
    Counterpart(
        ours="overwrite",
        how="it is about copies of other runs; the model itself is never begun anew",
        hugging_face="overwrite_output_dir",
        habits="force",
    ),
    Counterpart(
        ours="config_file",
        how="a preset is JSON; `mypt configs` lists those that come with mypt",
        hugging_face="config_name",
        litgpt="config model_config",
        habits="cfg conf preset config_path yaml",
    ),
    Counterpart(
        ours="n_layer",
        hugging_face="num_hidden_layers",
        karpathy="depth",
        habits="n_layers num_layers layers n_blocks num_blocks n_block",
    ),
    Counterpart(
        ours="n_head",
        hugging_face="num_attention_heads",
        habits="n_heads num_heads heads nhead num_head",
    ),
    Counterpart(
        ours="n_embd",
        hugging_face="hidden_size d_model",
        karpathy="model_dim",
        habits="n_embed n_embeds dim d_embed embd_dim embed_dim embedding_dim emb_dim n_emb width"
        " embedding_size",
    ),
    Counterpart(
        ours="block_size",
        hugging_face="max_position_embeddings n_positions n_ctx model_max_length max_length",
        litgpt="train.max_seq_length max_seq_length",
        karpathy="sequence_length max_seq_len sequence_len",
        habits="seq_len seq_length context_length context_len ctx_len ctx context context_size"
        " context_window window_size max_context",
    ),
    Counterpart(ours="vocab_size", litgpt="padded_vocab_size", habits="n_vocab vocabulary_size"),
    Counterpart(
        ours="dropout",
        how="one rate is for all",
        hugging_face="resid_pdrop embd_pdrop attn_pdrop attention_dropout hidden_dropout",
        habits="dropout_rate dropout_p p_drop drop",
    ),
    Counterpart(
        ours="bias",
        how="{qkv_bias} and {proj_bias} set each of both; {mlp_bias} and {norm_bias} are others",
        hugging_face="attention_bias",
        litgpt="attn_bias",
        habits="use_bias biases",
    ),
    Counterpart(ours="head_bias", litgpt="lm_head_bias"),
    Counterpart(
        ours="tie_weights",
        hugging_face="tie_word_embeddings",
        litgpt="train.tie_embeddings tie_embeddings",
        habits="weight_tying tied tie_embedding share_embeddings",
    ),
    Counterpart(
        ours="pos_encoding",
        hugging_face="position_embedding_type",
        habits="pos_embd pos_emb position_encoding positional_encoding positions use_rope rope"
        " rotary",
    ),
    Counterpart(
        ours="rope_theta",
        litgpt="rope_base",
        habits="rope_freq_base rotary_emb_base theta",
    ),
    Counterpart(
        ours="rope_theta_sliding",
        hugging_face="rope_local_base_freq",
        litgpt="rope_local_base_freq",
    ),
    Counterpart(ours="rope_scale", litgpt="rope_condense_ratio"),
    Counterpart(
        ours="rope_scaling",
        how="the linear rule is {rope_scale}",
        hugging_face="rope_parameters",
        litgpt="rope_adjustments",
        habits="rope_scaling_type yarn ntk",
    ),
    Counterpart(
        ours="rope_size",
        how="it is a number of values, not a fraction of a head",
        hugging_face="rotary_dim partial_rotary_factor rotary_pct",
        litgpt="rotary_percentage",
        habits="rotary_ndims rope_dim",
    ),
    Counterpart(
        ours="rope_pattern",
        how="R is a layer with rotation, N one without: RRRN",
        hugging_face="no_rope_layers no_rope_layer_interval",
        habits="nope",
    ),
    Counterpart(
        ours="sliding_window",
        litgpt="sliding_window_size",
        habits="attention_window local_window window",
    ),
    Counterpart(
        ours="window_pattern",
        how="S is a layer with a window, F one without: SSSF",
        hugging_face="layer_types sliding_window_pattern",
        litgpt="sliding_window_indices",
        habits="window_layers",
    ),
    Counterpart(
        ours="n_kv_head",
        hugging_face="num_key_value_heads",
        litgpt="n_query_groups",
        habits="n_kv_heads num_kv_heads kv_heads",
    ),
    Counterpart(ours="attention_type", habits="attention attn_type"),
    Counterpart(
        ours="attn_scale",
        how="it is the factor itself, such as {head_size} ** -0.5",
        hugging_face="attention_multiplier query_pre_attn_scalar",
        litgpt="attention_scores_scalar",
        habits="softmax_scale attention_scale",
    ),
    Counterpart(
        ours="attn_soft_cap",
        hugging_face="attn_logit_softcapping",
        litgpt="attention_logit_softcapping",
    ),
    Counterpart(
        ours="logit_soft_cap",
        hugging_face="final_logit_softcapping",
        litgpt="final_logit_softcapping",
        habits="softcap logit_softcap logit_cap",
    ),
    Counterpart(
        ours="logit_scale",
        how="logits are multiplied by it, not divided",
        hugging_face="logits_scaling",
    ),
    Counterpart(
        ours="embedding_scale", hugging_face="embedding_multiplier", litgpt="scale_embeddings"
    ),
    Counterpart(ours="residual_scale", hugging_face="residual_multiplier"),
    Counterpart(
        ours="qk_norm",
        how="head, over each head, or width, over all of them",
        hugging_face="use_qk_norm qk_layernorm",
        litgpt="norm_qk",
    ),
    Counterpart(
        ours="block_type",
        how="such as parallel, parallel_two_norms, sandwich_norm, res_post_norm",
        hugging_face="use_parallel_residual parallel_attn do_layer_norm_before",
        litgpt="parallel_residual post_attention_norm post_mlp_norm",
        habits="block post_norm pre_norm",
    ),
    Counterpart(ours="head_size", hugging_face="head_dim", karpathy="head_dim", habits="d_head"),
    Counterpart(
        ours="mlp_hidden",
        hugging_face="intermediate_size n_inner",
        habits="ffn_dim d_ff ffn_hidden mlp_dim hidden_dim ff_dim mlp_ratio",
    ),
    Counterpart(
        ours="mlp_type",
        hugging_face="hidden_act activation_function",
        litgpt="mlp_class_name",
        habits="activation act act_fn mlp",
    ),
    Counterpart(
        ours="norm_type",
        litgpt="norm_class_name",
        habits="norm use_rmsnorm rmsnorm normalization",
    ),
    Counterpart(
        ours="norm_weight",
        hugging_face="layer_norm_elementwise_affine",
        habits="elementwise_affine",
    ),
    Counterpart(
        ours="norm_eps",
        hugging_face="layer_norm_epsilon rms_norm_eps layer_norm_eps",
        habits="ln_eps",
    ),
    Counterpart(
        how="weights begin normal with a deviation of 0.02, as GPT-2's; that is no option",
        hugging_face="initializer_range",
        habits="init_std",
    ),
)

DATA = (
    Counterpart(
        ours="dataset_dir input_file",
        how="a folder of token shards, or a text",
        nanogpt="dataset",
        hugging_face="dataset_name",
        litgpt="data",
        karpathy="input_bin",
        habits="data_dir data_path dataset_path train_dir train_data train_dataset",
    ),
    Counterpart(
        ours="input_file",
        hugging_face="train_file train_data_file",
        habits="input text text_file file data_file corpus train_text input_files",
    ),
    Counterpart(
        ours="val_file",
        how="{eval_sets} names further sets; without, the end of the training text is used",
        hugging_face="validation_file eval_data_file",
        litgpt="val_data_path",
        karpathy="input_val_bin",
        habits="val_data eval_file eval_data val_path val_text valid_file validation_data",
    ),
    Counterpart(
        ours="data_options",
        how="as JSON: the field of the text in JSON lines and tables is its `field`",
        habits="dataset_text_field text_column text_column_name text_field text_key",
    ),
    Counterpart(
        ours="eval_sets eval_dataset_dir",
        how="the end of the training text, or the validation split of a data set, is used anyhow",
        habits="val_dir eval_dir",
    ),
    Counterpart(
        ours="mixture",
        how="{mixture} is the share of each file or folder, by its path",
        hugging_face="interleave_datasets probabilities",
        habits="data_mix data_mixture dataset_weights data_weights mixture_weights",
    ),
    Counterpart(
        ours="val_fraction",
        hugging_face="validation_split_percentage",
        earlier="val_split",
        habits="val_size val_ratio test_size",
    ),
    Counterpart(
        how="a tenth of a text is for validation; `mypt data prepare --val_fraction` sets another",
        hugging_face="validation_split_percentage",
        earlier="val_split",
        habits="val_fraction val_size val_ratio test_size",
    ),
    Counterpart(
        ours="tokenization",
        hugging_face="tokenizer_name",
        litgpt="tokenizer_dir",
        habits="tokenizer tokeniser encoding tokenizer_path tokenizer_type",
    ),
    Counterpart(ours="tokens_per_shard", habits="shard_size"),
    Counterpart(
        ours="workers",
        hugging_face="preprocessing_num_workers",
        habits="num_workers num_proc n_jobs jobs n_workers",
    ),
    Counterpart(
        how="batches are cut out of memory, so that nothing has to be loaded beside the training",
        hugging_face="dataloader_num_workers dataloader_pin_memory",
        habits="num_workers pin_memory",
    ),
    Counterpart(
        ours="sampling",
        how="`epoch` draws each window once before any is repeated",
        hugging_face="train_sampling_strategy",
        habits="shuffle",
    ),
)

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

HARDWARE = (
    Counterpart(
        ours="device",
        hugging_face="use_cpu no_cuda device_map",
        karpathy="device_type",
        habits="cpu cuda gpu gpus accelerator use_cuda use_gpu use_mps mps",
    ),
    Counterpart(
        ours="amp_dtype",
        how=_PRECISION,
        nanogpt="dtype",
        hugging_face="bf16 fp16 torch_dtype dtype",
        litgpt="precision",
        karpathy="dtype tensorcores fp8",
        habits="mixed_precision amp autocast half float16 bfloat16 tf32",
    ),
    Counterpart(
        ours="dtype",
        hugging_face="torch_dtype",
        litgpt="precision",
        earlier="force_fp16",
        habits="half fp16 bf16 float16 bfloat16",
    ),
    Counterpart(
        ours="int8",
        hugging_face="load_in_8bit load_in_4bit",
        litgpt="quantize",
        habits="quantization quant quantized bits int4 8bit",
    ),
    Counterpart(
        ours="compile",
        hugging_face="torch_compile",
        habits="use_compile torch_compile_mode",
    ),
    Counterpart(
        how="only training compiles; what generates is made for single tokens as it is",
        nanogpt="compile",
        hugging_face="torch_compile",
        litgpt="compile",
        karpathy="compile",
    ),
    Counterpart(
        ours="activation_checkpointing",
        hugging_face="gradient_checkpointing",
        karpathy="recompute",
        habits="grad_checkpointing checkpoint_activations use_checkpoint",
    ),
    Counterpart(
        ours="shard",
        how="the processes of torchrun share each batch, and with it the model too",
        hugging_face="fsdp deepspeed",
        karpathy="zero_stage",
        habits="zero strategy ddp distributed",
    ),
    Counterpart(
        how=_PROCESSES,
        hugging_face="local_rank",
        litgpt="devices num_nodes",
        habits="nproc_per_node nproc num_gpus n_gpus world_size nnodes num_processes",
    ),
    Counterpart(
        how="it follows from the device: nccl between GPUs, gloo between others",
        nanogpt="backend",
        hugging_face="ddp_backend",
        habits="dist_backend",
    ),
    Counterpart(
        how="attention is torch's scaled_dot_product_attention, which chooses the kernel itself",
        hugging_face="attn_implementation",
        karpathy="flash",
        habits="flash_attention flash_attn use_flash sdpa",
    ),
)

GENERATION = (
    Counterpart(
        ours="prompt",
        how="{prompt_file} takes it from a file",
        nanogpt="start",
        hugging_face="prefix",
        habits="text input input_text prompt_text query question context",
    ),
    Counterpart(
        ours="max_new_tokens",
        hugging_face="max_length length",
        karpathy="max_tokens",
        habits="num_tokens n_tokens n_predict max_new tokens new_tokens",
    ),
    Counterpart(
        ours="samples",
        nanogpt="num_samples",
        hugging_face="num_return_sequences",
        litgpt="num_samples",
        habits="n_samples n num_sequences sample_count best_of",
    ),
    Counterpart(ours="temperature", karpathy="t", habits="temp"),
    Counterpart(ours="top_k", hugging_face="k", karpathy="k", habits="topk"),
    Counterpart(ours="top_p", hugging_face="p", habits="topp nucleus nucleus_p"),
    Counterpart(ours="min_p", habits="minp"),
    Counterpart(
        ours="repetition_penalty",
        habits="rep_penalty repeat_penalty presence_penalty frequency_penalty",
    ),
    Counterpart(ours="no_repeat_ngram_size", habits="ngram no_repeat_ngram ngram_size"),
    Counterpart(
        ours="temperature",
        how="0 takes the likeliest token each time",
        hugging_face="do_sample",
        habits="greedy sample deterministic",
    ),
    Counterpart(
        how=_NO_SEARCH,
        hugging_face="num_beams typical_p penalty_alpha length_penalty",
        habits="beams beam_size beam_width",
    ),
    Counterpart(
        ours="stop",
        hugging_face="stop_strings",
        habits="stop_sequences stop_sequence stop_words stop_at",
    ),
    Counterpart(ours="stop_token", hugging_face="eos_token_id", habits="eos eos_id eos_token"),
    Counterpart(ours="logits", hugging_face="output_scores output_logits"),
    Counterpart(ours="probabilities", habits="probs logprobs log_probs"),
    Counterpart(ours="interactive", earlier="mode", habits="chat repl i"),
    Counterpart(
        how="`mypt inspect MODEL` shows what a model is",
        earlier="show_info",
        habits="info",
    ),
    Counterpart(
        ours="score",
        how="its FILE is the text to measure the loss on",
        karpathy="eval",
        habits="evaluate perplexity ppl eval_text",
    ),
    Counterpart(
        how="a single text is printed as it is generated, and several when they are done",
        habits="stream streaming",
    ),
)

SETTINGS = {
    "Model": MODEL,
    "Data": DATA,
    "Optimization": OPTIMIZATION,
    "Evaluation": EVALUATION,
    "Saving": SAVING,
    "Logging": LOGGING,
    "Hardware": HARDWARE,
    "Generation": GENERATION,
}

# Of commands, `ours` is one command, with the words that follow it.
COMMANDS = (
    Counterpart(
        ours="train",
        how="a run resumes by itself: give the same --model_name",
        habits="resume continue restart",
    ),
    Counterpart(
        ours="train",
        how="--init_from_model names the model whose weights it begins with",
        litgpt="finetune finetune_full finetune_lora",
        karpathy="chat_sft",
        habits="fine_tune tune sft",
    ),
    Counterpart(
        ours="train",
        nanogpt="train.py",
        hugging_face="run_clm.py",
        litgpt="pretrain",
        karpathy="base_train",
        habits="fit learn run",
    ),
    Counterpart(
        ours="generate",
        nanogpt="sample.py",
        hugging_face="run_generation.py",
        earlier="generate.py",
        habits="sample gen complete completion infer inference predict prompt text",
    ),
    Counterpart(
        ours="generate",
        how="--interactive reads prompts from the terminal",
        litgpt="chat",
        karpathy="chat_cli",
        earlier="workspace_chat",
        habits="interactive repl talk",
    ),
    Counterpart(
        how="a server with OpenAI's API and a chat page is a plugin: pip install mypt-serve",
        litgpt="serve",
        karpathy="chat_web",
        habits="server api web webui ui openai",
    ),
    Counterpart(
        ours="generate",
        how="--score FILE measures the loss of a model on a text",
        litgpt="evaluate",
        karpathy="base_eval",
        habits="eval score perplexity ppl test loss",
    ),
    Counterpart(
        ours="inspect",
        earlier="inspect_model",
        habits="info show describe cat view details summary",
    ),
    Counterpart(ours="list", habits="ls dir models checkpoints runs"),
    Counterpart(
        ours="configs",
        earlier="show_configs calculate_params",
        habits="presets preset config sizes",
    ),
    Counterpart(ours="compare", habits="diff cmp"),
    Counterpart(ours="plot", habits="curve curves graph chart tensorboard log logs"),
    Counterpart(
        ours="data prepare",
        nanogpt="prepare.py",
        earlier="prepare_dataset",
        habits="prepare tokenize tokenise preprocess prep encode",
    ),
    Counterpart(ours="data chats", earlier="prepare_chat_sft", habits="chats"),
    Counterpart(ours="merge", litgpt="merge_lora", habits="merge_adapter merge_and_unload fuse"),
    Counterpart(ours="format validate", litgpt="validate", habits="check verify lint fsck valid"),
    Counterpart(
        ours="format migrate",
        how="every command also reads the files of other programs as they are",
        litgpt="convert_to_litgpt convert_pretrained_checkpoint",
        earlier="convert_legacy_checkpoints convert_legacy",
        habits="migrate convert import upgrade",
    ),
    Counterpart(
        ours="export",
        litgpt="convert_from_litgpt",
        habits="save_hf to_hf push upload hf",
    ),
    Counterpart(ours="plugins new", habits="new init scaffold create"),
    Counterpart(ours="plugins", habits="plugin extensions addons"),
    Counterpart(how="`mypt --help` lists the commands", habits="help man usage"),
    Counterpart(how="`mypt --version` shows it", habits="version about"),
)
