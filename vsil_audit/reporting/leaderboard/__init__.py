"""Leaderboards, alignment comparisons and the paper's tables, on a terminal, as Markdown and as LaTeX."""
