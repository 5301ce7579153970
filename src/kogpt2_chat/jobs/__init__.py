"""The jobs of the platform, one module per job. Each combines pure decisions from ``domain`` with ports."""
