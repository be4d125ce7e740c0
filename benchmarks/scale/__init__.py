"""A simulation of thousands of workers: the pipeline's scheduling, fed by measured service times."""
