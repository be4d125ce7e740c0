"""WAV files and streams, as a client takes them apart."""


def pcm_of(wav: bytes) -> bytes:
    """Return the PCM of a WAV, without its header and what follows it; of a stream, all that came."""
    size = int.from_bytes(wav[40:44], "little")
    return wav[44 : 44 + size]
