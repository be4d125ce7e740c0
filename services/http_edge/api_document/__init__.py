"""The OpenAPI document, the page that shows it, and the start page."""

from services.http_edge.api_document.routes import DocumentRoutes

__all__ = ["DocumentRoutes"]
