"""What all tests share: properties are tried on the same examples every time, so that a result is the commit's own.

`./task properties` draws other ones, and many more.
"""

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("search", max_examples=1_000)
settings.load_profile("same")
