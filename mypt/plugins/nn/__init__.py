"""What the modules of parts are made with: the output loss, and the cache of a layer."""
