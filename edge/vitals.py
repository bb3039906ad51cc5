"""Keeps count of a live station while it runs."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from edge.line import Arrived
from edge.pick import NS, Phase, Pick, format_time
from edge.status import Queue, State, Status, status_file
from edge.systemd import notify
from firmware_bridge.packet import Packet
from firmware_bridge.stats import DecoderStats

_STALLED_S = 10.0
_BEAT_S = 5.0
_COUNTED_MAX = 1000
"""Ids: a thousand stations make fewer picks in the 1.3 s until a polarity is told."""
_CPU_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")


class Vitals:
    """What a station has met since its start. One thread tells it, any may ask for `status`.

    `heard` also writes the status to the file that `edge-pick status` reads, and pings systemd's watchdog,
    both every 5 s and when the state changes. It is to be called after what has arrived was picked: a ping
    means that data went all the way, or that there were none. `queues` and `outbox`: how the ways upstream
    are doing, where there are any.
    """

    def __init__(
        self,
        model: str,
        backend: str,
        station: str | None,
        live: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`station`: NET.STA.LOC, else it is that of the first packet or pick. `live`: not of files."""
        self.queues: Callable[[], Mapping[str, Queue]] = dict
        self.outbox: Callable[[], tuple[str | None, int, str | None]] = lambda: (None, 0, None)
        """Installation, picks dropped, and problem."""
        self._model = model
        self._backend = backend
        self.station = station
        self._live = live
        self._monotonic = monotonic
        self._began_s = monotonic()
        self._beat: tuple[float, State] | None = None
        self._heard_s: float | None = None
        self._bytes = 0
        self._last: Packet | None = None
        self._wire = DecoderStats()
        self._gaps = 0
        self._digitizer_temperature_c: float | None = None
        self.picks: dict[Phase, int] = {"P": 0, "S": 0}
        """Final ones."""
        self._counted: deque[str] = deque(maxlen=_COUNTED_MAX)
        self._clock_sigma_s: float | None = None
        self._file = status_file() if live else None

    @property
    def state(self) -> State:
        if not self._live:
            return "replaying"
        if self._heard_s is None:
            return "waiting"
        return "streaming" if self._monotonic() - self._heard_s < _STALLED_S else "stalled"

    def heard(self, arrived: Arrived, wire: DecoderStats, gaps: int) -> None:
        """One step of the line, `wire` what its decoder and `gaps` what the time lines have met so far."""
        now_s = self._monotonic()
        self._bytes += arrived.n_bytes
        self._wire, self._gaps = wire, gaps
        for _, packet in arrived.packets:
            self._heard_s = now_s
            self._last = packet
            self.station = self.station or packet.stream.station_id
            self._digitizer_temperature_c = packet.meta.get("temperature", self._digitizer_temperature_c)
        if self._beat is None:
            notify("READY=1")
        state = self.state
        if self._beat is None or state != self._beat[1] or now_s - self._beat[0] >= _BEAT_S:
            self._beat = now_s, state
            self._write()
            notify(f"WATCHDOG=1\nSTATUS={state}")

    def picked(self, pick: Pick) -> None:
        """Counts a pick that is final, once: it may be told again for its polarity, soon after."""
        self.station = self.station or pick.station
        if pick.status == "final" and pick.id not in self._counted:
            self._counted.append(pick.id)
            self.picks[pick.phase] += 1
        self._clock_sigma_s = pick.clock_sigma

    def status(self) -> Status:
        """As things are now."""
        now_s = self._monotonic()
        installation, dropped, problem = self.outbox()
        return Status(
            state=self.state,
            time=format_time(time.time_ns()),
            version=version("edge-pick"),
            model=self._model,
            backend=self._backend,
            station=self.station,
            installation=installation,
            uptime_s=round(now_s - self._began_s, 1),
            silence_s=None if self._heard_s is None else round(now_s - self._heard_s, 1),
            sample_age_s=_age_s(self._last),
            packets=self._wire.good_packets,
            bytes=self._bytes,
            crc_errors=self._wire.bad_checksums,
            skipped_bytes=self._wire.skipped_bytes,
            lost_packets=self._wire.lost_packets,
            gaps=self._gaps,
            clock=self._last.clock if self._last else None,
            clock_sigma_s=self._clock_sigma_s,
            temperature_c=_cpu_temperature_c(),
            digitizer_temperature_c=self._digitizer_temperature_c,
            picks=dict(self.picks),
            queues=self.queues(),
            dropped=dropped,
            outbox_problem=problem,
        )

    def _write(self) -> None:
        if self._file is None:
            return
        part = self._file.with_suffix(".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(self.status().to_json() + "\n")
            part.replace(self._file)
        except OSError:
            pass  # shown again when it can be written; picks matter more

    def close(self) -> None:
        """The station ends: no status is better than an old one."""
        notify("STOPPING=1")
        if self._file:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
                self._file.parent.rmdir()


def _age_s(packet: Packet | None) -> float | None:
    if packet is None or packet.start_ns is None or packet.rate is None or packet.clock == "device":
        return None
    end_ns = packet.start_ns + (len(packet.samples) - 1) * NS / packet.rate
    return round((time.time_ns() - end_ns) / NS, 1)


def _cpu_temperature_c() -> float | None:
    try:
        return int(_CPU_TEMPERATURE.read_text()) / 1000
    except (OSError, ValueError):
        return None
