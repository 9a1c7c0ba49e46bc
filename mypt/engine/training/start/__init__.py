"""What a run begins from: a new model, the weights of another, a saved one, or a run done again."""
