"""Tests of the compiled programs, the templates and this project's own commands."""
