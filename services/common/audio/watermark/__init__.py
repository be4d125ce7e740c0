"""A watermark in the samples of synthetic speech: marking, and its detection."""
