"""Between the engine and the wire: a sentence's edges and its loudness are made equal, and no peak is too high."""
