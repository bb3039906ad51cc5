"""What edge-bench says of a computer: from a made-up root folder."""

from pathlib import Path

import pytest

from benchmarks.bench.machine import Health, describe, find_edge_tpu, look, throttling


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def raspberry(tmp_path: Path) -> Path:
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n")
    write(tmp_path, "proc/meminfo", "MemTotal:        8245760 kB\nMemFree: 1 kB\n")
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61700\n")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2400000\n")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    return tmp_path


def test_a_raspberry_pi_is_described(raspberry: Path) -> None:
    found = describe(raspberry)
    assert (found.cpu, found.board) == ("Raspberry Pi 5 Model B Rev 1.0",) * 2
    assert found.memory_mb == 8052
    assert found.packages["numpy"]
    assert look(raspberry) == Health(61.7, 2400.0, "ondemand", 0x50005, None)


def test_what_a_computer_does_not_tell_is_left_open(tmp_path: Path) -> None:
    assert look(tmp_path) == Health(None, None, None, None, None)
    assert describe(tmp_path).board is None
    assert throttling([look(tmp_path)] * 2) == []


def health(throttled: int | None = None, events: int | None = None) -> Health:
    return Health(None, None, None, throttled, events)


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        ((0, 0, 0), []),
        ((0, 0b0100, 0x40000), ["throttled"]),
        ((0, 0, 0x10000), ["under-voltage"]),  # between two looks
        ((0x50000, 0x50000, 0x50000), []),  # before the run
        ((0x1, 0, 0), ["under-voltage"]),
        ((0, 0x6, 0x60000), ["frequency capped", "throttled"]),
    ],
)
def test_throttling_of_a_raspberry_pi(bits: tuple[int, ...], reasons: list[str]) -> None:
    told = throttling([health(throttled=seen) for seen in bits])
    assert told == [f"the Raspberry Pi reported {reason} during the run" for reason in reasons]


def test_throttling_of_a_pc() -> None:
    assert throttling([health(events=7), health(events=7)]) == []
    assert throttling([health(events=7), health(events=9)]) == [
        "the processor throttled 2 times during the run"
    ]


def test_pc_throttle_counts_of_all_cores_are_added(tmp_path: Path) -> None:
    for core in (0, 1):
        write(tmp_path, f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count", "3\n")
    assert look(tmp_path).throttle_events == 6


def test_an_edge_tpu_is_found(tmp_path: Path) -> None:
    assert find_edge_tpu(tmp_path) is None
    write(tmp_path, "sys/bus/usb/devices/2-1/idVendor", "18d1\n")
    write(tmp_path, "sys/bus/usb/devices/2-1/idProduct", "9302\n")
    assert find_edge_tpu(tmp_path) == "USB"
    write(tmp_path, "dev/apex_0", "")
    assert find_edge_tpu(tmp_path) == "PCIe"
