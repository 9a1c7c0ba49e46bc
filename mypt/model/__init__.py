"""The GPT model and the parts it is assembled from."""
