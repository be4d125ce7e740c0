"""Answers where a recording comes from: its watermark, and the log of what was synthesized."""
