"""The kit with which plugin authors test what they offer."""
