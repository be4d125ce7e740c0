"""`python -m voice_cloning_client.cli`."""

from voice_cloning_client.cli import main

main()
