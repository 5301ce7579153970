"""What the DAGs are built from: an operator for the project's commands, and parts that follow the roster."""
