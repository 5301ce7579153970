"""Building blocks of the DAGs: an operator that runs the CLI's commands, and parameters, assets and tasks per bot."""
