"""Statements of Helm that the edits use."""

from typing import Final

from tools.helm_chart.document import Document

TREE: Final = "{{- toYaml . | nindent INDENT2 }}"  # after a key
ITEMS: Final = "{{- toYaml . | nindent INDENT }}"


def conditional(condition: str, text: str) -> str:
    """Return statements with a text that exists only under a condition."""
    return f"{{{{- if {condition} }}}}\n{text}\n{{{{- end }}}}"


def optional(document: Document, path: str, text: str) -> str:
    """Return a mark for a text that exists only if a value is not empty, and is `.` in it."""
    return document.statements(f"{{{{- with {path} }}}}\n{text}\n{{{{- end }}}}")
