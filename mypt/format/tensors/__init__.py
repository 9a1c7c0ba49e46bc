"""Read and write files of tensors without trusting their content."""
