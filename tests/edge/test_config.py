"""Options from a file are those of the command line, and a mistake in it is named."""

import pytest

from edge.options import parse


@pytest.fixture
def config(tmp_path):
    """config(text, …) is what edge-pick makes of a file and further arguments."""

    def make(text, *arguments):
        path = tmp_path / "station.toml"
        path.write_text(text)
        return parse(["--config", str(path), *arguments])

    return make


def test_a_file_says_what_a_command_line_says(config):
    told = config(
        'device = "/dev/ttyUSB0"\nstation = "am.shed."\nbaud = 57600\nearly = true\njson = false\n'
        'p-threshold = 0.3\nuplink = ["mqtt://a", "udp://b:1"]\n'
    )
    line = "--device /dev/ttyUSB0 --station am.shed. --baud 57600 --early --p-threshold 0.3"
    given = parse([*line.split(), "--uplink", "mqtt://a", "--uplink", "udp://b:1"])
    told.config = None
    assert told == given


def test_replayed_files_may_be_many(config):
    assert [path.name for path in config('replay = ["a.mseed", "b.mseed"]').replay] == ["a.mseed", "b.mseed"]


def test_the_command_line_goes_before_the_file(config):
    assert config('device = "/dev/ttyUSB0"\nbaud = 57600', "--baud", "9600").baud == 9600
    assert config('device = "a"\nuplink = ["mqtt://a"]', "--uplink", "mqtt://b").uplink == ["mqtt://b"]
    replayed = config('device = "/dev/ttyUSB0"', "--replay", "day.mseed")
    assert (replayed.device, [path.name for path in replayed.replay]) == (None, ["day.mseed"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('devise = "/dev/ttyUSB0"', "no key 'devise'; there is device"),
        ("device = [", "station.toml: "),
        ('device = "a"\nearly = "yes"', "early is true or false, not 'yes'"),
        ('device = "a"\nbaud = [1, 2]', "baud is one value, not 2"),
        ('device = "a"\nbaud = "fast"', "argument --baud: 'fast' is no speed, such as 115200"),
        ('device = "a"\nout = ""', "argument --out: '' is no file: give a path"),
        ('device = "a"\nstation = {net = "AM"}', "station is text or a number"),
        ('device = "a"\nudp = ":1"', "not allowed with argument"),
        ('config = "other.toml"', "no key 'config'"),
    ],
)
def test_a_mistake_is_named_with_its_key(config, capsys, text, says):
    with pytest.raises(SystemExit) as ended:
        config(text)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_a_file_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        parse(["--config", "/nowhere/station.toml"])
    assert "/nowhere/station.toml" in capsys.readouterr().err.splitlines()[-1]
