"""Generates the Helm chart's templates and values from the kustomize manifests."""
