"""The commands that come with mypt, without importing them."""

from __future__ import annotations

# Command -> (module, help); a module is imported when its command runs.
COMMANDS = {
    "train": ("mypt.cli.commands.train", "Train a new model, or resume a saved one."),
    "rerun": ("mypt.cli.commands.rerun", "Do the run of a model again, under another name."),
    "generate": ("mypt.cli.commands.generate", "Continue a prompt with a trained model."),
    "chat": ("mypt.cli.commands.chat", "Talk with a model that was trained on conversations."),
    "list": ("mypt.cli.commands.checkpoints.list", "List the checkpoints below a folder."),
    "inspect": (
        "mypt.cli.commands.checkpoints.inspect",
        "Show what a checkpoint contains, without loading its weights.",
    ),
    "doctor": (
        "mypt.cli.commands.checkpoints.doctor",
        "Check a model and all its copies, and say what can be gone on from.",
    ),
    "configs": ("mypt.cli.commands.configs", "List the presets, or show one in detail."),
    "compare": (
        "mypt.cli.commands.checkpoints.compare",
        "Compare the settings of models, and their losses on one text.",
    ),
    "plot": ("mypt.cli.commands.plot", "Plot the losses of one or more runs."),
    "data": ("mypt.cli.commands.data", "Prepare data sets for training, and inspect them."),
    "export": (
        "mypt.cli.commands.checkpoints.export",
        "Export a model to the format of another program.",
    ),
    "merge": (
        "mypt.cli.commands.checkpoints.merge",
        "Make a whole model of an adapter and its base.",
    ),
    "plugins": ("mypt.cli.commands.plugins", "List the installed plugins and what they provide."),
    "completion": (
        "mypt.cli.commands.completion",
        "Print the script by which a shell completes mypt's commands.",
    ),
    "format": ("mypt.cli.format_group", "Validate and migrate checkpoints."),
}
FORMAT_COMMANDS = {
    "validate": (
        "mypt.cli.commands.checkpoints.validate",
        "Check checkpoints and presets, and report every problem.",
    ),
    "migrate": (
        "mypt.cli.commands.checkpoints.migrate",
        "Convert a legacy or foreign checkpoint to the current format.",
    ),
}
