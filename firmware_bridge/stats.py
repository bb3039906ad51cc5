"""What a decoder has met on the wire so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class DecoderStats:
    """Counters of one decoder, since it was made.

    `good_packets`: wire packets that passed every check. `bad_checksums`: candidates with a plausible
    header that failed the trailer or the checksum. `skipped_bytes`: bytes that belong to no good packet.
    `time_jumps`: packets whose time does not follow from the one before; they are delivered all the same.
    `lost_packets`: missing by their sequence numbers, where the protocol has such.
    """

    good_packets: int = 0
    bad_checksums: int = 0
    skipped_bytes: int = 0
    time_jumps: int = 0
    lost_packets: int = 0

    def summary(self) -> str:
        """All of them in one line."""
        lost = f", {self.lost_packets} lost" if self.lost_packets else ""
        return (
            f"{self.good_packets} packets{lost}, {self.bad_checksums} bad checksums, "
            f"{self.skipped_bytes} bytes skipped, {self.time_jumps} time jumps"
        )
