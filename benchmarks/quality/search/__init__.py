"""Searches which of Kokoro's symbols a recogniser understands best for each phone of a language."""
