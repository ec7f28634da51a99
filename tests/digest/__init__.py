"""The compiled digest, on emulators and on a stand-in for its topic."""
