"""The receiving end of a network: picks from a broker into a store, and from there to whatever wants them."""
