"""The voice library over HTTP: its forms, JSON and queries, reference recordings, previews."""
