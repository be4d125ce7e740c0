"""Writes Kubernetes objects as Helm templates.

How it works. An edit replaces a part of an object by a mark, a word that YAML never quotes. The object is dumped as
YAML, and then each mark is replaced by its text, of which there are three kinds:

    replicas: {{ .Values.edge.replicas }}                    an expression, in place of a scalar
    resources: {{- toYaml .Values.edge.resources | nindent 12 }}  a tree, in place of a mapping or a list
    {{- with .Values.imagePullSecrets }} ... {{- end }}      statements, in place of a key or an item

Statements are indented as the line that they replace, so they are written without indentation; INDENT in them is that
indentation, and INDENT2 two more.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import yaml

Object = dict[str, Any]

_MARK: Final = re.compile(r"qzt(\d+)tzq")
_STATEMENTS: Final = re.compile(r"^( *)(?:- )?qzs(\d+)szq(?:: null)?$", re.MULTILINE)
_TREE: Final = re.compile(r"^( *)((?:- )?[\w./-]+): qzy(\d+)yzq$", re.MULTILINE)


class Document:
    """The marks of one template, and its text."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def expression(self, text: str) -> str:
        """Return a mark for a scalar: `.Values.edge.replicas` becomes `{{ .Values.edge.replicas }}`."""
        return f"qzt{self._add('{{ ' + text + ' }}')}tzq"

    def tree(self, path: str) -> str:
        """Return a mark for a mapping or list: `.Values.edge.resources` is written as YAML."""
        return f"qzy{self._add(path)}yzq"

    def statements(self, text: str) -> str:
        """Return a mark for a key, whose value must be None, or for an item of a list."""
        return f"qzs{self._add(text)}szq"

    def text(self, objects: list[tuple[Object, str]]) -> str:
        """Return a template of objects, each with the condition under which it is written ("" for always)."""
        written = []

        for index, (each, condition) in enumerate(objects):
            separator = "---\n" if index else ""
            body = separator + self._filled(each)
            written.append(
                f"{{{{- if {condition} }}}}\n{body}{{{{- end }}}}\n" if condition else body
            )

        return "".join(written)

    def _filled(self, each: Object) -> str:
        text = yaml.safe_dump(each, sort_keys=False, width=100_000, allow_unicode=True)
        text = _STATEMENTS.sub(self._statements, text)
        text = _TREE.sub(self._tree, text)
        return _MARK.sub(lambda match: self._texts[int(match[1])], text)

    def _statements(self, match: re.Match[str]) -> str:
        indent = len(match[1])
        text = self._texts[int(match[2])].replace("INDENT2", str(indent + 2))
        lines = text.replace("INDENT", str(indent)).splitlines()
        return "\n".join(match[1] + line for line in lines)

    def _tree(self, match: re.Match[str]) -> str:
        nested = len(match[1]) + 2 * match[2].count("- ") + 2
        path = self._texts[int(match[3])]
        return f"{match[1]}{match[2]}: {{{{- toYaml {path} | nindent {nested} }}}}"

    def _add(self, text: str) -> int:
        self._texts.append(text)
        return len(self._texts) - 1


def strings(node: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of a tree with every string changed."""
    if isinstance(node, dict):
        return {key: strings(value, change) for key, value in node.items()}

    if isinstance(node, list):
        return [strings(each, change) for each in node]

    return change(node) if isinstance(node, str) else node
