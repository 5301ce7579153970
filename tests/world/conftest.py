"""Property tests of the world keep no database of examples, and measure no time."""

from hypothesis import settings

settings.register_profile("world", database=None, deadline=None)
settings.load_profile("world")
