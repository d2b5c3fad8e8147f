"""``metriscope diagnose``."""
