"""Names that users write: which of ours they mean, whatever program taught them the name."""
