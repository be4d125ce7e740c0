"""Requests of tenants over NATS.

Speech to synthesize, clips to store, and commands about voices (docs/adr/0018-nats-boundary.md).
"""

from services.http_edge.ingress.clips import ClipIngress
from services.http_edge.ingress.requests import RequestIngress
from services.http_edge.ingress.responder import Responder
from services.http_edge.ingress.voices import VoiceIngress

__all__ = ["ClipIngress", "RequestIngress", "Responder", "VoiceIngress"]
