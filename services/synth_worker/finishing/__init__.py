"""Finishing of a sentence's audio before it is published: equal edges, equal loudness, limited peaks."""
