"""AWS on this machine: emulators, the data of a small shop, and the demo."""
