# The edge: the HTTP API.
# Build from the root of the repository: docker build -f deploy/images/http-edge.Dockerfile -t voice-cloning/http-edge .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
COPY requirements/images/http-edge.txt /requirements.txt
RUN python3 -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.txt
WORKDIR /app
COPY LICENSE NOTICE ./
COPY services/__init__.py services/__init__.py
COPY services/common services/common
COPY services/curl_command.py services/curl_command.py
COPY services/http_edge services/http_edge
RUN /venv/bin/python -m compileall -q services \
 && rm -f /venv/lib/python3.*/site-packages/c2pa/libs/libc2pa_c.rlib \
 && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="voice-cloning/http-edge" org.opencontainers.image.licenses="Apache-2.0 AND LGPL-2.1-or-later AND LGPL-3.0-or-later AND GPL-2.0-or-later"
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp HTTP_HOST=0.0.0.0 HTTP_PORT=8004
WORKDIR /app
USER 10001:10001
EXPOSE 8004
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8004/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "services.http_edge"]
