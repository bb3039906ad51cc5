"""What one edge-collect bears: a network of ten thousand stations through a real Mosquitto on loopback."""
