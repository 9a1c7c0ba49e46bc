"""TensorBoard curves of mypt's training runs."""
