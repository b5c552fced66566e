"""Tables of a stopped calibration: what was left is read back, and what is damaged is told."""

from dataclasses import dataclass

import numpy as np
import pytest

from sciup.errors import InputError
from sciup.risk.columns import Columns, kept, kept_each


@dataclass(frozen=True)
class Stars(Columns):
    name: np.ndarray
    flux: np.ndarray


TWO = Stars(np.array(["a", "b"]), np.array([3.0, 5.0]))


def test_what_is_there_is_not_made_again(tmp_path):
    path = tmp_path / "new" / "stars.npz"
    assert kept(path, Stars, lambda: TWO).flux.tolist() == [3, 5]
    assert kept(path, Stars, lambda: pytest.fail("made again")).name.tolist() == ["a", "b"]


def test_a_stopped_run_goes_on_behind_the_last_that_is_kept(tmp_path):
    made, told = [], []

    def make(thing):
        if thing == "c" and len(made) == 2:
            raise KeyboardInterrupt
        made.append(thing)
        return Stars(np.array([thing]), np.array([float(len(made))]))

    with pytest.raises(KeyboardInterrupt):
        kept_each(tmp_path / "new", Stars, "abcd", make, told.append)
    made.append("stopped")
    parts = kept_each(tmp_path / "new", Stars, "abcd", make, told.append)
    assert made == ["a", "b", "stopped", "c", "d"]
    assert told == [1, 2, 1, 2, 3, 4]
    assert Stars.join(parts).name.tolist() == list("abcd")
    assert Stars.join(parts).flux.tolist() == [1, 2, 4, 5]


def test_what_was_skipped_once_moves_nothing_when_it_is_there(tmp_path):
    """Such as an image whose codec was installed meanwhile."""

    def make(thing):
        return Stars(np.array([thing]), np.zeros(1))

    assert len(kept_each(tmp_path / "new", Stars, "acd", make)) == 3
    parts = kept_each(tmp_path / "new", Stars, "abcd", make)
    assert Stars.join(parts).name.tolist() == list("abcd")
    assert len(kept_each(tmp_path / "new", Stars, "aacd", make)) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"stars",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
        lambda whole: whole.replace(b"flux", b"flow"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, damage):
    path = tmp_path / "stars.npz"
    TWO.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"stars\.npz is no table of Stars.*remove it"):
        Stars.load(path)


def test_arrays_of_different_lengths_are_no_table(tmp_path):
    Stars(np.array(["a"]), np.zeros(2)).save(tmp_path / "stars.npz")
    with pytest.raises(InputError, match="differ in length"):
        Stars.load(tmp_path / "stars.npz")
