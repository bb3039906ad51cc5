"""All protocols by name."""

from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge import anyshake, anyshake_v1, anyshake_v2, bridge, gcf, lines, ndjson, openeew, shake
from firmware_bridge.wire import Declared, Decoder, Encoder


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way to talk.

    `title`: for people. `encoder`: takes the sample rate; ValueError where the protocol has no such rate.
    `packets_to_be_sure`: that many good packets are no accident. `checked`: a checksum guards the
    samples. `bauds`: usual serial speeds, the most usual first; empty where it comes over no serial line.
    `long_packets`: one may take a second or more to come. `one_channel_a_file`: where it is stored, each file
    holds one channel, and names it.
    """

    name: str
    title: str
    decoder: Callable[[Declared], Decoder]
    encoder: Callable[[float], Encoder]
    packets_to_be_sure: int
    checked: bool
    bauds: tuple[int, ...]
    long_packets: bool = False
    one_channel_a_file: bool = False


_BRIDGE_BAUDS = (115_200, 57_600, 230_400, 460_800, 921_600)
_ANYSHAKE_BAUDS = (115_200, 57_600, 230_400, 460_800)
_GCF_BAUDS = (19_200, 38_400, 57_600, 115_200, 9_600)
_TEXT_BAUDS = (115_200, 9_600, 57_600, 230_400, 19_200, 38_400, 460_800)

PROTOCOLS: tuple[Protocol, ...] = (
    Protocol("bridge", "edge-pick bridge", bridge.Decoder, bridge.encoder_at, 1, True, _BRIDGE_BAUDS),
    Protocol("anyshake3", "AnyShake v3", anyshake.Decoder, anyshake.Encoder, 1, True, _ANYSHAKE_BAUDS, True),
    Protocol("gcf", "Güralp GCF", gcf.Decoder, gcf.Encoder, 1, True, _GCF_BAUDS, True, True),
    Protocol("anyshake2", "AnyShake v2", anyshake_v2.Decoder, anyshake_v2.Encoder, 2, True, _ANYSHAKE_BAUDS),
    Protocol("anyshake1", "AnyShake v1", anyshake_v1.Decoder, anyshake_v1.Encoder, 2, True, _ANYSHAKE_BAUDS),
    Protocol("shake", "Raspberry Shake datacast", shake.Decoder, shake.Encoder, 2, False, (115_200,)),
    Protocol("openeew", "OpenEEW messages", openeew.Decoder, openeew.Encoder, 2, False, ()),
    Protocol("ndjson", "JSON objects", ndjson.Decoder, ndjson.Encoder, 3, False, _TEXT_BAUDS),
    Protocol("lines", "plain lines of numbers", lines.Decoder, lines.Encoder, 5, False, _TEXT_BAUDS),
)
"""All of them, those that are hardest to mistake first."""


def protocol_named(name: str) -> Protocol:
    """ValueError, in one line, for a name that there is not."""
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise ValueError(f"no protocol {name!r}: there are {', '.join(p.name for p in PROTOCOLS)}")
