"""Output formats: each turns the PCM of a response into its body. `registry.FORMATS` lists them."""
