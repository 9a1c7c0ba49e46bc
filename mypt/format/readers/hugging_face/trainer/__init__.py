"""What transformers' Trainer saves beside a model: its optimizer, and how far it is."""
