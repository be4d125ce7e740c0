"""The provenance log in JetStream: written by workers, read by edges and the operator."""
