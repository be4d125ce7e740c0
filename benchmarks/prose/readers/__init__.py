"""Files to plain paragraphs: one module for each kind of file."""
