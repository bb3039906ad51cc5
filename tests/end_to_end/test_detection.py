"""Every protocol on a real pseudo-terminal, after noise, with nothing said to the reader."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edge.source import SerialSource
from firmware_bridge.detect import Detector
from firmware_bridge.protocols import PROTOCOLS, Protocol
from firmware_bridge.simulator import PtyDigitizer, packets_of
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared

NS = 1_000_000_000
LIMIT_S = 5


def spoken(protocol: Protocol) -> Iterator[tuple[int, bytes]]:
    made = synthetic_earthquake()
    yield 0, np.random.default_rng(1).bytes(300)
    yield from packets_of(
        made.samples, 125 if protocol.name == "openeew" else 100, made.start_ns, protocol.name
    )


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_digitizer_on_a_port_is_recognised_within_five_seconds_of_its_first_byte(
    protocol: Protocol,
) -> None:
    stop = threading.Event()
    detector = Detector(Declared())
    with PtyDigitizer(spoken(protocol)) as digitizer:
        source = SerialSource(digitizer.device, 115_200, stop, lambda line: None)
        first_ns: int | None = None
        for arrival_ns, data in source:
            first_ns = arrival_ns if first_ns is None and data else first_ns
            detector.feed(arrival_ns, data)
            source.baud = detector.baud
            if detector.protocol or (first_ns is not None and arrival_ns - first_ns > LIMIT_S * NS):
                stop.set()
    assert detector.protocol is protocol
