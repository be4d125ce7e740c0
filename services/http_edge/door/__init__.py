"""What tenants ask of an edge over NATS: requests to speak, and clips to store (docs/adr/0018-nats-boundary.md)."""

from services.http_edge.door.clips import ClipDoor
from services.http_edge.door.requests import RequestDoor
from services.http_edge.door.serving import Serving

__all__ = ["ClipDoor", "RequestDoor", "Serving"]
