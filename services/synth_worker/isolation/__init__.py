"""The engine in a process of its own, so that a sentence that crashes it takes no worker down (docs/adr/0008)."""
