"""Sound as the interface shows it: read, measured, drawn, written."""
