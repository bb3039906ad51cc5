"""What a time line had to break or drop, counted and told."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class TimelineStats:
    """What the time line had to break or drop. Samples are counted per channel, at the input rate.

    `gaps`, `gap_s`: breaks with time missing, and the seconds missing in all. `overlap_samples`: came
    twice, at the head of a packet that also brought news. `out_of_order_packets`, `_samples`: entirely in
    the past. `invalid_samples`: NaN, infinite or huge. `partial_samples`: good, but dropped because another
    channel began later, or because they came too late or at another rate to join the others.
    `clock_steps`: how often it started over because the packets' clock was set anew. `events`: one line
    per break, for the caller to drain; the oldest fall out after 100.
    """

    gaps: int = 0
    gap_s: float = 0.0
    overlap_samples: int = 0
    out_of_order_packets: int = 0
    out_of_order_samples: int = 0
    invalid_samples: int = 0
    partial_samples: int = 0
    clock_steps: int = 0
    events: deque[str] = field(default_factory=lambda: deque(maxlen=100))

    def summary(self) -> str | None:
        """One line of what is not zero; None where nothing was broken or dropped."""
        parts = [
            (self.gaps, f"gaps: {self.gaps} ({self.gap_s:.3f} s missing)"),
            (self.overlap_samples, f"overlapping samples: {self.overlap_samples}"),
            (
                self.out_of_order_packets,
                f"packets out of order: {self.out_of_order_packets} ({self.out_of_order_samples} samples)",
            ),
            (self.invalid_samples, f"NaN, infinite or huge samples: {self.invalid_samples}"),
            (self.partial_samples, f"samples dropped without the other channels: {self.partial_samples}"),
            (self.clock_steps, f"clock set anew: {self.clock_steps}"),
        ]
        return "; ".join(text for count, text in parts if count) or None
