"""Adapters beside the layers of a model: the layers, and how a model gets and loses them."""
