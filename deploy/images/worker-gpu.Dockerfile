# A worker with the XTTS engine, on a GPU or a CPU. Contains no weights: they need a licence agreement (COQUI_TOS_AGREED)
# and are downloaded from the hub to /models/xtts, or read from XTTS_MODEL_DIR.
# Build from the root of the repository: docker build -f deploy/images/worker-gpu.Dockerfile -t voice-cloning/worker-gpu .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG TORCH=2.13.0
SHELL ["/bin/sh", "-eu", "-c"]
COPY requirements/images/worker-gpu.txt /requirements.txt
COPY requirements/torch /torch
ENV PIP_NO_CACHE_DIR=1
RUN python3 -m venv /venv \
 && sh /torch/install.sh /venv/bin/pip "${TORCH}" \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.txt
WORKDIR /app
COPY LICENSE NOTICE ./
COPY services/__init__.py services/__init__.py
COPY services/common services/common
COPY services/synth_worker services/synth_worker
RUN /venv/bin/python -m compileall -q services \
 && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="voice-cloning/worker-gpu" org.opencontainers.image.licenses="Apache-2.0 AND MPL-2.0 AND BSD-3-Clause AND LGPL-2.1-or-later"
COPY --from=build /venv /venv
COPY --from=build /app /app
RUN mkdir /models && chown 10001:10001 /models
VOLUME /models
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp ENGINE=xtts HF_HOME=/models/xtts NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_REQUIRE_CUDA=cuda>=13.0 WORKER_HEALTH_HOST=0.0.0.0 WORKER_HEALTH_PORT=9102
WORKDIR /app
USER 10001:10001
EXPOSE 9102
HEALTHCHECK --interval=5s --timeout=3s --start-period=360s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9102/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "services.synth_worker"]
