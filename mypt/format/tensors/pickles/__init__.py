"""Pickles: read by a machine that calls nothing, as bundles and as other programs have them."""
