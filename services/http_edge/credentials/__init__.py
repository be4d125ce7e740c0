"""Content credentials: signed C2PA manifests in finished files. `signing.ContentCredentials` is what routes use."""
