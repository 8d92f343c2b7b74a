"""What a draft must pass before it may be in a set; one file a gate."""
