"""A pick for tests to which it matters little which."""

from edge.pick import NS, Pick

PICK = Pick(
    id="0123456789abcdef",
    station="XX.TEST.00",
    channels=("HHZ", "HHN", "HHE"),
    phase="P",
    time_ns=1_700_000_000 * NS,
    prob=0.9,
    sigma=0.05,
    snr_db=20.0,
    amp=1234.0,
    clock="gnss",
    latency_s=4.2,
    model="lppn@01234567",
)
