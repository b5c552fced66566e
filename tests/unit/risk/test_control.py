"""Alarm thresholds and intervals by hand."""

import numpy as np
import pytest

from sciup.errors import InputError, OptionError
from sciup.risk.control import (
    alarm_threshold,
    interval_scaling,
    outside_shares,
    unflagged_shares,
)


def test_a_flag_is_at_or_above_the_threshold():
    missed, flagged = unflagged_shares([0.2, 0.5, np.nan], [1, 1, 1], [0.0, 0.2, 0.5, 0.6])
    np.testing.assert_array_equal(missed, [0, 0, 0.5, 1])
    np.testing.assert_array_equal(flagged, [1, 1, 0.5, 0])
    missed, flagged = unflagged_shares([0.2, 0.5], [0, np.nan], [0.0, 0.3])
    np.testing.assert_array_equal(missed, [0, 0])
    np.testing.assert_array_equal(flagged, [1, 0])
    for empty in unflagged_shares([np.nan], [np.nan], [0.0, 0.5]):
        np.testing.assert_array_equal(empty, [0, 0])


def test_the_correction_for_few_units_counts():
    losses = np.tile([0.0, 0.05, 0.09], (9, 1))
    flagged = np.tile([1.0, 0.5, 0.1], (9, 1))
    axis = [0.0, 0.4, 0.8]
    # (9 x 0.05 + 1) / 10 = 0.145 and (9 x 0.09 + 1) / 10 = 0.181
    for alpha, threshold in ((0.1, 0.0), (0.144, 0.0), (0.146, 0.4), (0.18, 0.4), (0.182, 0.8)):
        assert alarm_threshold(losses, flagged, axis, alpha).threshold == threshold
    with pytest.raises(InputError, match=r"9 units allow .* 0.1 at best"):
        alarm_threshold(losses, flagged, axis, 0.09)


def test_alarms_refuse_what_is_out_of_order():
    flags = np.ones((20, 2))
    with pytest.raises(OptionError, match="ascending"):
        alarm_threshold(np.zeros((20, 2)), flags, [0.5, 0.2], 0.1)
    with pytest.raises(OptionError, match="lowest threshold"):
        alarm_threshold(np.zeros((20, 2)), flags, [0.1, 0.2], 0.1)
    with pytest.raises(InputError, match="rising"):
        alarm_threshold(np.tile([0.5, 0.2], (20, 1)), flags, [0.0, 0.2], 0.1)
    with pytest.raises(InputError, match="shape"):
        alarm_threshold(np.zeros((20, 3)), flags, [0.0, 0.2], 0.1)
    with pytest.raises(OptionError, match="alpha"):
        alarm_threshold(np.zeros((20, 2)), flags, [0.0, 0.2], 1.0)


def test_intervals_are_closed_and_stretch_on_both_sides_alone():
    truth = [-2.0, -1.0, 0.0, 3.0, 6.0, np.nan]
    np.testing.assert_array_equal(
        outside_shares(0, -1, 3, truth, [0.0, 0.99, 1.0, 2.0]), [0.8, 0.8, 0.4, 0.0]
    )
    # an interval of no width holds its centre only, however it is stretched
    np.testing.assert_array_equal(outside_shares(1, 1, 1, [1.0, 1.1], [1.0, 9.0]), [0.5, 0.5])
    np.testing.assert_array_equal(outside_shares(0, -1, 1, [np.nan], [1.0]), [0])


def test_the_scan_stops_at_the_first_that_is_not_rejected():
    # the narrowest would pass again if losses did not fall; they are refused then
    losses = np.tile([0.02, 0.3, 0.02, 0.0], (100, 1))
    with pytest.raises(InputError, match="falling"):
        interval_scaling(losses, np.ones(100), [0.5, 1.0, 2.0, 4.0], 0.1)
    found = interval_scaling(np.sort(losses)[:, ::-1], np.ones(100), [0.5, 1.0, 2.0, 4.0], 0.1)
    assert found.scaling == 1.0
    assert found.outside == pytest.approx(0.02)
    assert interval_scaling(losses[:, 3:], np.ones(100), [1.0], 0.1).scaling == 1.0


def test_too_few_units_and_too_narrow_intervals_are_refused():
    with pytest.raises(InputError, match="10 independent units certify"):
        interval_scaling(np.zeros((10, 1)), np.ones(10), [1.0], 0.1)
    with pytest.raises(InputError, match="even intervals stretched 2 times"):
        interval_scaling(np.full((100, 2), 0.5), np.ones(100), [1.0, 2.0], 0.1)
