"""Tests of the compiled programs, the templates and this project's own commands."""

import pytest

# Must come before the first import of the kit, so that a failing assertion there shows the values it compared.
pytest.register_assert_rewrite("tests.kit")
