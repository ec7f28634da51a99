"""The compiled function, on emulators and on stand-ins that fail as AWS does."""
