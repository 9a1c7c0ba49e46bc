"""A mean of the weights of many updates, and evaluating a model with other weights."""
