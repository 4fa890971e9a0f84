"""The user's side: the command line, the local stack and the demo."""
