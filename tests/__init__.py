"""Tests of the compiled programs, the templates and this project's own commands."""

import pytest

# Before anything imports them: their assertions say what they compared.
pytest.register_assert_rewrite("tests.kit")
