"""The wire between digitizer firmware and the station: bytes to packets, without I/O."""
