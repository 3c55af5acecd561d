"""The experiments: recipes, the catalogue of them, and the pipeline that runs one."""
