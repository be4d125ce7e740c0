"""The default engine: Kokoro-82M with a voice for every reference clip; CPU only, no download."""
