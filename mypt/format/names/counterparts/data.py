"""What the settings of data are called."""

from mypt.format.names.counterparts.counterpart import Counterpart

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
