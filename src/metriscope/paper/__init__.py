"""The paper: its published tables, what is wrong with them, and its claims held against data."""
