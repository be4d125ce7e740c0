"""The web interface: six tabs in Streamlit, which speaks to the service over HTTP alone."""
