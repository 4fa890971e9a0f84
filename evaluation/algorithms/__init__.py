"""One algorithm per file, each of them an `evaluation.protocol.Algorithm`."""
