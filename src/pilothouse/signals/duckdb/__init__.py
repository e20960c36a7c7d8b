"""The embedded engine: one DuckDB file, opened by one process."""
