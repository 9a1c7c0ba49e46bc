"""nanochat's optimizer: Muon for the matrices of the layers, AdamW for the rest."""
