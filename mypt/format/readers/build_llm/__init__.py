"""Reader of build_llm's checkpoints."""
