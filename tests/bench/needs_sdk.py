"""A driver module that imports a vendor's library which is not installed."""

import santec_sdk_that_nobody_has  # noqa: F401  # the import is what is tested
