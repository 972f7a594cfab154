"""What networks learn from, how it is divided for validation, and the training itself."""
