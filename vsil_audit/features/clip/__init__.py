"""CLIP: which model, which pixels of an image it sees, and their vectors and those of texts."""
