"""Files of GGUF, the format of ggml and llama.cpp: their header, and their tensors."""
