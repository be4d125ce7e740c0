"""How well the embedded engine speaks and clones: method and how to run it in README.md, figures in RESULTS.md."""
