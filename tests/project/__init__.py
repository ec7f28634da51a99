"""The commands of this project: the demo, the sandbox, the installer, the tests themselves."""
