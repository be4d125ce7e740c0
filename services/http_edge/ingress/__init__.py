"""What tenants ask of an edge over NATS: requests to speak, and clips to store (docs/adr/0018-nats-boundary.md)."""

from services.http_edge.ingress.clips import ClipDoor
from services.http_edge.ingress.requests import RequestDoor
from services.http_edge.ingress.responder import Serving

__all__ = ["ClipDoor", "RequestDoor", "Serving"]
