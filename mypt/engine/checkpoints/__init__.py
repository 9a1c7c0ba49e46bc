"""The bundles of a run: paths, copies, building a model from one, saving beside the training."""
