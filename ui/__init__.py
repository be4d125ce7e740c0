"""The web interface: five tabs in Streamlit, which speaks to the service over HTTP alone."""
