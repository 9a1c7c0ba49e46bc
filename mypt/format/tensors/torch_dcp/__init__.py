"""Read folders of torch.distributed.checkpoint without trusting their content."""
