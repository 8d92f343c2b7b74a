"""Vectors of texts and images: how they are passed around, and kept between runs by content."""

from vsil_audit.features.embeddings.rows import Rows

__all__ = ["Rows"]
