"""Building with models: what is asked of whom, in which order, and how it is gone on with after an interruption."""
