"""Makes the files in `assets/` again from pinned packages: `python -m` this package."""
