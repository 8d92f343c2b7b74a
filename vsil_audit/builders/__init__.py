"""Leak-free data out of leaking data, a taxonomy or images: drafts pass gates, and everything that happened is kept."""
