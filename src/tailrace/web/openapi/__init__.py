"""The project's own OpenAPI document (`/openapi.json`): what can be asked here, and what is answered.

It is written by hand where prose is the point, and made from the types that requests are read into where shapes are.
An operation is in the document where the application serves it.
"""

from tailrace.web.openapi.document import OpenApi

__all__ = ["OpenApi"]
