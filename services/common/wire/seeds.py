"""Seeds: a request has one, its sentences' are derived from it and their place."""

from hashlib import blake2b


def sentence_seed(request_seed: int, sentence: int) -> int:
    """Return the seed, in 0..2**63-1, of a sentence by its index (BLAKE2b of both, so that sentences do not correlate).

    Equal on every machine, so that a redelivered sentence sounds the same.
    """
    digest = blake2b(f"{request_seed}/{sentence}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
