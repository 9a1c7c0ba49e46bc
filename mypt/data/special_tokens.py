"""The special tokens that MyPT marked conversations with, beside GPT-2's own."""

PADDING = "<myPT_pad>"
END_OF_EPISODE = "<myPT_eot>"
