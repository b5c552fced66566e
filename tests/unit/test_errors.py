"""Errors say what, allowed and fix, and survive the way back from a worker process."""

import pickle

import pytest

from sciup import errors
from sciup.errors import OptionError, SciupError

KINDS = [SciupError, *SciupError.__subclasses__()]


def kinds(test):
    return pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)(test)


@kinds
def test_pickle_round_trip(kind):
    error = kind("the halo is 16 px", "23 px or more", "leave --halo unset")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.what, again.allowed, again.fix) == (error.what, error.allowed, error.fix)


@kinds
def test_refusals_exit_with_2(kind):
    # an interrupted run is not refused: it can go on, and job scripts ask for 75
    assert kind("no").exit_code == (75 if kind is errors.InterruptedRunError else 2)


@kinds
def test_every_kind_is_in_the_table_of_the_module(kind):
    if kind is not SciupError:
        assert f"`{kind.__name__}`" in errors.__doc__


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("it is red",), "it is red."),
        (("it is red.",), "it is red."),
        (("it is red", "blue"), "it is red. Allowed: blue."),
        (("it is red", "", "paint it."), "it is red. To fix it: paint it."),
        (("it is red", "blue.", "paint it"), "it is red. Allowed: blue. To fix it: paint it."),
    ],
)
def test_message_is_one_paragraph(parts, message):
    assert str(OptionError(*parts)) == message


def test_one_except_clause_catches_them_all():
    with pytest.raises(SciupError, match="scale 3"):
        raise OptionError("scale 3 was asked")
