"""A run: from a spec and images to predictions, resumable at any moment."""
