"""Quality of the embedded engine's speech and cloning: method and usage in README.md, figures in RESULTS.md."""
