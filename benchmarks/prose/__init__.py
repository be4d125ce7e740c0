"""Normalization of human prose: rewrites per 1,000 words, and their precision by readers' verdicts."""
