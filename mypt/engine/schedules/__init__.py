"""What changes with the step: learning rate, weight decay and batch size."""
