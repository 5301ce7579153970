"""Three KoGPT2 chatbots of a virtual world: the library behind the worker, the DAGs and the CLI."""
