# The web UI.
# Build from the root of the repository: docker build -f deploy/images/ui.Dockerfile -t voice-cloning/ui .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
COPY requirements/images/ui.txt /requirements.txt
RUN python3 -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.txt
WORKDIR /app
COPY LICENSE NOTICE ./
COPY ui ui
RUN /venv/bin/python -m compileall -q ui \
 && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="voice-cloning/ui" org.opencontainers.image.licenses="Apache-2.0 AND LGPL-2.0-or-later AND GPL-2.0-or-later"
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp UI_HOST=0.0.0.0 UI_PORT=8501 SERVICE_URL=http://http-edge:8004
WORKDIR /app
USER 10001:10001
EXPOSE 8501
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=2)"]
ENTRYPOINT ["python", "-m", "ui"]
