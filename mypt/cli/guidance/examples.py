"""An example of each command, for whoever left out what it needs."""

from __future__ import annotations

BEGIN = "mypt train --model_name {name} --input_file input.txt --config_file demo"
# By the words that call the command.
EXAMPLES = {
    "mypt train": BEGIN.format(name="first"),
    "mypt rerun": "mypt rerun first",
    "mypt generate": 'mypt generate first --prompt "Once"',
    "mypt chat": "mypt chat first",
    "mypt inspect": "mypt inspect first",
    "mypt doctor": "mypt doctor first",
    "mypt compare": "mypt compare first first_gold --input_file input.txt",
    "mypt plot": "mypt plot first",
    "mypt export": "mypt export first --to hf --output first_hf",
    "mypt merge": "mypt merge first --output merged",
    "mypt completion": "mypt completion bash",
    "mypt data prepare": "mypt data prepare input.txt --output data/first",
    "mypt data join": "mypt data join data/part1 data/part2 --output data/first",
    "mypt data chats": "mypt data chats chats.jsonl --output data/chats --from_model first",
    "mypt data preferences": "mypt data preferences pairs.jsonl --output data/pairs "
    "--from_model first",
    "mypt data inspect": "mypt data inspect data/first",
    "mypt plugins new": "mypt plugins new my-plugin",
    "mypt format validate": "mypt format validate checkpoints/first",
    "mypt format migrate": "mypt format migrate old_model.pt",
}


def with_example(message: str, command_path: str) -> str:
    """Return what is missing from a command, with an example of one that has it all.

    Args:
        message: What is missing.
        command_path: The words that called the command.
    """
    example = EXAMPLES.get(command_path)
    return message if example is None else f"{message}; for example: {example}"
