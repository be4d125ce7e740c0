"""Starts a worker: `python -m services.synth_worker`."""

from services.common.runtime.service_process import run_process
from services.common.wire.failures import PipelineError
from services.synth_worker.app import run
from services.synth_worker.settings import Settings

if __name__ == "__main__":
    run_process("synth_worker", Settings, run, PipelineError)
