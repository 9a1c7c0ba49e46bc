"""What the settings of a model are called, and those that name it."""

from mypt.format.names.counterparts.counterpart import Counterpart

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
