"""The real servers on one machine, without Docker: jars, configuration, supervision, health."""
