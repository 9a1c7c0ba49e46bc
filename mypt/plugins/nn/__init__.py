"""What the modules of parts are made with: attention, the cache of a layer, the output loss."""
