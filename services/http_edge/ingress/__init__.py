"""Requests of tenants over NATS.

Speech to synthesize, and clips to store (docs/adr/0018-nats-boundary.md).
"""

from services.http_edge.ingress.clips import ClipIngress
from services.http_edge.ingress.requests import RequestIngress
from services.http_edge.ingress.responder import Responder

__all__ = ["ClipIngress", "RequestIngress", "Responder"]
