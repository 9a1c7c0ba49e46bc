"""The logit processors that come with mypt."""
