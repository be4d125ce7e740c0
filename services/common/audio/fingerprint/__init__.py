"""Fingerprints of audio, to find a sentence again after codecs, noise and cuts."""
