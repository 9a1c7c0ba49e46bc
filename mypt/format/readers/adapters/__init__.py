"""Adapters of LoRA in the files of other programs: merged, or as those of mypt."""
