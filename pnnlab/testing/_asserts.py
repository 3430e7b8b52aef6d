"""Let pytest show the values in the kit's assertions, as it does by itself in test files only."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"pnnlab.testing.{name}"
        for name in (
            "_adc",
            "_camera",
            "_crossbar",
            "_dac",
            "_device",
            "_life",
            "_loss",
            "_nearest",
            "_output",
            "_reading",
        )
    ),
    *(f"pnnlab.testing.{name}" for name in ("_runs", "_script", "_slm", "_subject", "_trouble")),
)
