"""Writes the generated part of deploy/helm/voice-cloning: `python -m tools.helm_chart`.

The chart has the objects of deploy/k8s, the only place where they are written by hand. Generated are the templates of
these objects, `files/`, and the numbers in `values.yaml`, whose text is `values.in.yaml` in this folder.
"""

from tools.helm_chart.chart import CHART, chart


def main() -> None:
    """Write every generated file, and delete the templates of objects that no longer exist."""
    made = chart()

    for path in CHART.glob("templates/*.yaml"):
        if path not in made and path.read_text("utf-8").startswith("{{- /* Generated"):
            path.unlink()

    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
