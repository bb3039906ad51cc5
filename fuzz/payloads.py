"""Coverage-guided fuzzing of what a collector lets in, with Atheris (`pip install atheris`).

    python -m fuzz.payloads -max_total_time=60

The arguments go to libFuzzer. Whatever a message holds, it must be refused for one of the known reasons in
one line, or be a pick that the store gives back as it was, and that every export without ObsPy can write.
Corpus and inputs that break a rule lie in a new folder within the system's temporary one, which is named at
the start; to try such an input again: `python -m fuzz.payloads FILE`.

The first byte of the input picks the topic. If it is even, the rest replaces one field of a good pick, by
its number and as JSON, as else nothing would ever get past the first checks; if it is odd, the rest is the
payload.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["collect", "edge.pick"]):
    from collect.admit import REASONS, RefusedError, admit
    from collect.exports.associators import write_gamma, write_pyocto, write_real
    from collect.exports.hypo71 import write_hypo71
    from collect.exports.reading import groups_of
    from collect.exports.scml import write_scml
    from collect.store import Store
    from edge.pick import Pick

GOOD = (
    b'{"id": "0123456789abcdef", "v": 1, "station": "XX.TEST.00", "channels": "HHZ,HHN,HHE", "phase": "P", '
    b'"time": "2026-11-20T23:41:00.123456Z", "prob": 0.93, "sigma": 0.03, "snr_db": 18.2, "amp": 1234.0, '
    b'"amp_unit": "count", "polarity": null, "polarity_prob": null, "clock": "gnss", "clock_sigma": 0.001, '
    b'"latency_s": 1.1, "update": 0, "status": "final", "model": "lppn@1f2e3d4c"}'
)
TOPICS = (
    "seis/v1/XX/TEST/00/pick",
    "seis/v1/XX/TEST/--/pick",
    "seis/v1/XX/TEST/00/status",
    "seis/v1/X\n/T/0/pick",
)
ALL = (0, 2**63 - 1)


def main(argv: Sequence[str]) -> None:
    """The command; ends the process."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-payloads-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    print(f"corpus and findings: {folder}", file=sys.stderr)
    out = folder / "out"
    out.mkdir()
    replays = any(not argument.startswith("-") for argument in argv)
    options = [] if replays else [str(corpus), f"-artifact_prefix={folder}/", "-max_len=3000", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, *argv], lambda data: check(data, out))
    atheris.Fuzz()


def seeds() -> list[bytes]:
    """A good pick, and every field of it, as it is."""
    fields = json.loads(GOOD)
    return [
        b"\1" + GOOD,
        *(bytes([0, n]) + json.dumps(value).encode() for n, value in enumerate(fields.values())),
    ]


def message_of(data: bytes) -> tuple[str, bytes]:
    """Topic and payload; see the module's text."""
    first = data[0] if data else 1
    topic = TOPICS[first // 2 % len(TOPICS)]
    if first % 2 or len(data) < 2:
        return topic, data[1:]
    fields = {key: json.dumps(value).encode() for key, value in json.loads(GOOD).items()}
    fields[list(fields)[data[1] % len(fields)]] = data[2:]
    return topic, b"{" + b", ".join(
        b'"%s": %s' % (key.encode(), value) for key, value in fields.items()
    ) + b"}"


def check(data: bytes, out: Path) -> None:
    """AssertionError, or whatever is raised, where a rule is broken."""
    topic, payload = message_of(data)
    try:
        pick = admit(topic, payload)
    except RefusedError as error:
        refused = error
    else:
        check_admitted(pick, out)
        return
    assert refused.reason in REASONS, refused.reason
    assert "\n" not in str(refused), str(refused)


def check_admitted(pick: Pick, out: Path) -> None:
    store = Store("sqlite://")
    assert store.save([pick, pick], 0) == 1
    (stored,) = store.picks(*ALL, rejected=True)
    assert stored == pick, f"{stored} of {pick}"
    store.close()
    groups = groups_of([stored], None)
    for write in (write_scml, write_hypo71, write_gamma, write_pyocto):
        write(groups, out / "file")
    write_real(groups, out / "folder")


if __name__ == "__main__":
    main(sys.argv[1:])
