"""What a data set holds: counts, checks, and what a model learns of its conversations."""
