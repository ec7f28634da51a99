"""Commands for the Makefile: install the tools, build, measure, run under SAM."""
