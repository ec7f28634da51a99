"""The templates: linted, transformed, asserted on, and deployed into an emulator."""
