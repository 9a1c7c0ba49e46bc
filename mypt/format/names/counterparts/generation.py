"""What the settings of generated text are called."""

from mypt.format.names.counterparts.counterpart import Counterpart

_NO_SEARCH = "there is no search: each token is drawn, or with {temperature} 0 the likeliest"

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
