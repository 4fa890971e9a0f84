"""The face: command line, local stack, demo."""
