import threading

from raymask.progress import Progress, Waiting, duration


def test_durations_read_as_clocks():
    assert [duration(s) for s in (0, 7.4, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]


def test_lines_keep_coming_while_a_step_takes_long():
    lines: list[str] = []
    twice = threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        if len(lines) >= 2:
            twice.set()

    with Progress("work", total=10, unit="photos", every=0.01, write=write) as progress:
        assert twice.wait(30), "no line came while nothing was done"
        progress.add(4, "loss 0.5")
    assert lines[0].startswith("work: 0/10 photos")
    assert lines[-1].startswith("work: 4/10 photos")
    assert lines[-1].endswith("loss 0.5")


def test_work_of_an_earlier_run_does_not_flatter_the_rate(monkeypatch):
    progress = Progress("work", total=1000, unit="photos")
    progress._start = 100.0
    progress.skip(900)
    progress.add(20)
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    assert progress.line() == "work: 920/1,000 photos, 2.0/s, 0:40 left"


def test_waiting_speaks_until_it_is_there(capsys):
    spoken = threading.Event()
    asked: list[bool] = []
    lines: list[str] = []

    def there() -> bool:
        asked.append(True)
        if len(asked) == 3:
            spoken.set()
        return len(asked) >= 3

    with Waiting("starting", until=there, every=0.01):
        assert spoken.wait(30)
        while "there" not in (out := capsys.readouterr().out):
            spoken.wait(0.01)
            lines += out.splitlines()
        lines += out.splitlines()
    assert lines == ["starting, 0:00 so far"] * 2 + ["starting, there after 0:00"]
