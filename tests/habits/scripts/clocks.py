"""
Clocks, calendars and chance without a seed.

The time as an argument, in names, in defaults; durations; zones; names of temporary files.
"""

import calendar
import dataclasses
import datetime
import os
import random
import tempfile
import time
import uuid
import zoneinfo
from datetime import date, timedelta, timezone
from random import randint
from time import time as now

import drive
import lithops
from together import together

STARTED = time.time()


def same(*values):
    return values if len(values) > 1 else values[0]


def the_time_as_an_argument():
    began = time.time()
    there = yield same, began
    later = time.time()
    back = yield same, later
    return there == began, back == later, began <= later


def the_time_by_its_own_name():
    began = now()
    there = yield same, began, time.time_ns()
    return there[0] == began, there[1] // 10**9 >= int(began)


def dates_and_times_of_now():
    moment, today = datetime.datetime.now(), date.today()
    there = yield same, moment, today
    utc = datetime.datetime.now(timezone.utc)
    back = yield same, utc.isoformat()
    return there == (moment, today), back == utc.isoformat(), today <= date.today()


def the_time_when_the_script_was_loaded():
    there = yield same, STARTED
    return there == STARTED, STARTED <= time.time()


def stamps_in_names():
    name = f'results/{datetime.datetime.now():%Y%m%d-%H%M%S%f}.csv'
    text = time.strftime('%Y-%m-%d %H:%M:%S')
    there = yield same, [name, text, time.ctime()]
    return there[0] == name, len(there[1])


@dataclasses.dataclass
class Entry:
    text: str
    when: datetime.datetime = dataclasses.field(default_factory=datetime.datetime.now)
    key: uuid.UUID = dataclasses.field(default_factory=uuid.uuid4)


def shown(entry):
    return entry.text, entry.when, str(entry.key)


def defaults_made_of_clock_and_chance():
    entry = Entry('a')
    there = yield shown, entry
    return there == shown(entry)


def durations():
    began = time.perf_counter()
    yield same, 1
    took = time.perf_counter() - began
    return took >= 0, time.monotonic() > 0, time.process_time() >= 0, time.thread_time() >= 0


def measured_by_the_clock():
    began = time.time()
    yield same, 0
    elapsed = time.time() - began
    there = yield same, elapsed
    return there == elapsed, elapsed >= 0


def loops_until_a_deadline():
    deadline, rounds = time.time() + 0.05, 0
    while time.time() < deadline:
        rounds += 1
        time.sleep(0.01)
    there = yield same, rounds
    return there == rounds, rounds > 0


def spans():
    first = datetime.datetime(2024, 2, 28, 12)
    there = yield same, first + timedelta(days=1.5)
    return there, (there - first).total_seconds(), there.isocalendar().week, timedelta(hours=1) / timedelta(minutes=8)


def zones():
    paris = datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Paris'))
    there = yield same, paris
    utc = there.astimezone(timezone.utc)
    return there.isoformat(), utc.isoformat(), there == paris, there.tzinfo.key, there.dst() == timedelta(hours=1)


def dates_as_text():
    there = yield datetime.datetime.strptime, '2024-03-05 06:07', '%Y-%m-%d %H:%M'
    return there, f'{there:%d.%m.%y %j}', date.fromisoformat('2024-01-31').replace(day=1), there.timetuple().tm_yday


def calendars():
    there = yield calendar.monthrange, 2024, 2
    return there, calendar.isleap(2100), [day for day in calendar.Calendar().itermonthdays(2024, 2) if day][-1]


def naps():
    time.sleep(0.01)
    yield time.sleep, 0.01
    return time.sleep(0)


def names_of_temporary_folders():
    with tempfile.TemporaryDirectory(prefix='habit-') as folder:
        there = yield os.path.basename, folder
        found = there == os.path.basename(folder), os.path.isdir(folder)
        path = os.path.join(folder, 'x.txt')
        with open(path, 'w') as file:
            file.write('x')
        size = yield os.path.getsize, path
    return found, size, os.path.exists(folder)


def size_of(path):
    with open(path) as file:
        return len(file.read())


def names_of_temporary_files():
    handle, path = tempfile.mkstemp(suffix='.txt')
    os.write(handle, b'12345')
    os.close(handle)
    try:
        return (yield size_of, path), os.path.exists(path)
    finally:
        os.unlink(path)


def temporary_files_that_are_named():
    with tempfile.NamedTemporaryFile('w+', delete=False) as file:
        file.write('abc')
        file.flush()
        there = yield size_of, file.name
        file.write('de')
    size = os.path.getsize(file.name)
    os.unlink(file.name)
    return there, size


def scratch_folders():
    folder = tempfile.mkdtemp()
    there = yield same, folder
    names = os.listdir(folder)
    os.rmdir(folder)
    return there == folder, names, tempfile.gettempdir() in folder


def without_a_seed():
    # These come out differently each time, but they do not change between two waits
    drawn = random.random(), randint(1, 10**9), random.choices('abcdef', k=5)
    there = yield same, *drawn
    shuffled = random.sample(range(50), 50)
    again = yield same, shuffled
    return list(there) == list(drawn), again == shuffled, sorted(shuffled) == list(range(50))


HABITS = [
    without_a_seed,
    the_time_as_an_argument,
    the_time_by_its_own_name,
    dates_and_times_of_now,
    the_time_when_the_script_was_loaded,
    stamps_in_names,
    defaults_made_of_clock_and_chance,
    durations,
    measured_by_the_clock,
    loops_until_a_deadline,
    spans,
    zones,
    dates_as_text,
    calendars,
    naps,
    names_of_temporary_folders,
    names_of_temporary_files,
    temporary_files_that_are_named,
    scratch_folders,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
