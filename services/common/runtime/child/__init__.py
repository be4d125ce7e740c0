"""Child processes: start, frames, environment, limits, parent death, confinement."""
