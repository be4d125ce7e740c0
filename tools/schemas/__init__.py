"""Schemas for NATS clients in other languages: JSON Schema for each message, AsyncAPI for the subjects."""
