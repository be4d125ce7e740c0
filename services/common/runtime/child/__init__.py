"""Child processes: start, exit status, frames, environment, limits, parent death, confinement."""
