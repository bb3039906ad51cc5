"""Networks, their data and their training; backend-agnostic Keras 3, for the host, not the station."""
