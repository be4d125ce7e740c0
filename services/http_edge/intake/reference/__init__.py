"""Turns an upload of any format into the clip that is stored: at most 30 s of 24 kHz mono speech.

The decoder process imports this package, so it imports nothing itself.
"""
