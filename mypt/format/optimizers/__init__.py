"""What an optimizer keeps and how `optimizer.pt` holds it: by the names of the parameters."""
