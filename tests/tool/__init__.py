"""The compiled dlq tool, on emulators and on a stand-in for Lambda."""
