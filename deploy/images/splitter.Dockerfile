# The splitter: normalizes texts and splits them into sentences.
# Build from the root of the repository: docker build -f deploy/images/splitter.Dockerfile -t voice-cloning/splitter .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
COPY requirements/images/splitter.txt /requirements.txt
RUN python3 -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.txt
WORKDIR /app
COPY LICENSE NOTICE ./
COPY services/__init__.py services/__init__.py
COPY services/common services/common
COPY services/splitter services/splitter
COPY services/admin services/admin
RUN /venv/bin/python -m compileall -q services \
 && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="voice-cloning/splitter" org.opencontainers.image.licenses="Apache-2.0 AND Unicode-3.0"
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp SPLITTER_HEALTH_HOST=0.0.0.0 SPLITTER_HEALTH_PORT=9101
WORKDIR /app
USER 10001:10001
EXPOSE 9101
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9101/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "services.splitter"]
