"""The run directory: writing it while a recipe runs, and reading it afterwards."""

from excise.record.record import Record, Run, new_run_path, open_run, save_arrays

__all__ = ["Record", "Run", "new_run_path", "open_run", "save_arrays"]
