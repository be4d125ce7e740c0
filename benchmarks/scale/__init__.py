"""What thousands of workers do: a simulation of the pipeline's scheduling, fed by measured service times."""
