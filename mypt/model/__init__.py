"""The GPT and the parts it is assembled from."""
