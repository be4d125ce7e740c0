"""Starts an edge: `python -m services.http_edge`."""

from services.common.runtime.service_process import run_process
from services.common.wire.failures import PipelineError
from services.http_edge.app import run
from services.http_edge.settings import Settings

if __name__ == "__main__":
    run_process("http_edge", Settings, run, PipelineError)
