"""Makers of images: typographic (ours, offline), diffusers pipelines, images endpoints."""
