"""The station runtime: packets in, picks out."""
