"""Turns an upload of any format into the clip that is stored.

At most 30 s of 24 kHz mono speech.
"""

from services.http_edge.intake.reference.decoder import PreparedClip, ReferenceDecoder

__all__ = ["PreparedClip", "ReferenceDecoder"]
