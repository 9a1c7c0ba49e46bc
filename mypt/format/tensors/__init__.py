"""Files of tensors, read and written without trust."""
