"""Taxonomies that are shipped, one YAML file each."""
