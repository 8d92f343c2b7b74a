"""Rewriting without any model: leaked phrases give way to a pointing word, and move into the image."""
