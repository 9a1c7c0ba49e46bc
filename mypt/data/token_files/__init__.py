"""Files of token ids, as mypt and other programs write them."""
