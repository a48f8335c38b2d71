"""``svcsim demo``: the bundled cluster in both modes."""

from __future__ import annotations

import re

import pytest

from svcsim.cli import main


@pytest.fixture(scope="module")
def shown():
    """What a small demo prints."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["demo", "--connections", "60", "--services", "20"]) == 0
    return out.getvalue()


def test_both_modes_tell_a_journey_and_its_answer(shown):
    """Each mode shows a request and an answer, from arrival to departure."""
    assert len(re.findall(r"^cni0 receives TCP", shown, re.M)) == 2
    assert len(re.findall(r"^and the answer: ", shown, re.M)) == 2
    assert len(re.findall(r"^sent by cni0: TCP 10\.96\.200\.80:80 > 10\.244\.1\.7", shown, re.M)) == 2


def test_both_modes_refuse_a_service_without_endpoints(shown):
    """The same answer twice: port unreachable."""
    assert len(re.findall(r"dest unreach code 3", shown)) == 2


def test_ipvs_takes_turns(shown):
    """Of sixty connections each of three endpoints gets twenty by turns; at random they get about that."""
    rows = re.findall(r"^shop/web:http +(\S+:8080) +(\d+) +(\d+)$", shown, re.M)

    assert [int(by_turns) for _, _, by_turns in rows] == [20, 20, 20]
    assert sum(int(at_random) for _, at_random, _ in rows) == 60


def test_it_is_the_same_every_time_but_for_the_times(shown, capsys):
    """A seed fixes everything up to the measured times."""
    assert main(["demo", "--connections", "60", "--services", "20"]) == 0

    before_times = shown.partition("== What finding")[0]
    assert capsys.readouterr().out.partition("== What finding")[0] == before_times
