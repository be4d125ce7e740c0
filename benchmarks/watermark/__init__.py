"""Robustness of the watermark, false alarms, cost and quality."""
