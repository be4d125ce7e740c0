"""Starts a splitter: `python -m services.splitter`."""

from services.common.runtime.service_process import run_process
from services.common.wire.failures import PipelineError
from services.splitter.app import run
from services.splitter.settings import Settings

if __name__ == "__main__":
    run_process("splitter", Settings, run, PipelineError)
