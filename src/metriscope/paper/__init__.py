"""The paper: its published tables, what is wrong with them, and its claims held against data.

*Variance & Greediness: a comparative study of metric-learning losses*, arXiv 2601.21450.
"""
