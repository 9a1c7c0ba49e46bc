"""What our commands are called."""

from mypt.format.names.counterparts.counterpart import Counterpart

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
