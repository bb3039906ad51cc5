"""`make demo`: a simulated digitizer, the real station runtime, and a picture of what it picked."""
