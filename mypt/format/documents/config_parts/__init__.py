"""The objects within a config: a change of rotary frequencies, and an adapter."""
