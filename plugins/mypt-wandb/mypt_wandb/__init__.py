"""mypt's training runs on Weights & Biases."""
