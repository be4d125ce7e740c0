"""Development tools that check the repository itself; no service imports them."""
