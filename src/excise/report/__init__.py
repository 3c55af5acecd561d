"""Reports: one HTML page a run, and tables for the terminal."""
