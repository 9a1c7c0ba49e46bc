"""What is different about models, and which is better."""
