"""Boxes, plans and shards on examples worked out by hand; see also tests/properties."""

import pickle

import numpy as np
import pytest

from sciup.geometry import Box, Tile, TilePlan, iterate, plan_tiles, shards


class TestBox:
    box = Box((2, -1), (5, 4))

    def test_shape_and_size(self):
        assert self.box.shape == (3, 5)
        assert self.box.size == 15

    def test_a_box_that_ends_before_it_starts_is_empty(self):
        assert Box((3, 0), (1, 5)).shape == (0, 5)
        assert Box((3, 0), (1, 5)).size == 0

    def test_a_box_without_axes_is_one_pixel(self):
        assert Box((), ()).size == 1

    def test_of_shape(self):
        assert Box.of_shape((3, 4)) == Box((0, 0), (3, 4))

    def test_slices_cut_an_array(self):
        array = np.arange(60).reshape(6, 10)
        np.testing.assert_array_equal(array[Box((1, 2), (3, 7)).slices], array[1:3, 2:7])

    def test_slices_refuse_to_count_from_the_end(self):
        with pytest.raises(ValueError, match="starts outside"):
            _ = self.box.slices

    def test_axes_must_agree(self):
        with pytest.raises(ValueError, match="differ in length"):
            Box((0,), (1, 2))
        with pytest.raises(ValueError, match=r"zip\(\)"):
            self.box.shifted((1,))

    def test_moves(self):
        assert self.box.scaled(3) == Box((6, -3), (15, 12))
        assert self.box.coarsened(2) == Box((1, -1), (3, 2))
        assert self.box.grown(2) == Box((0, -3), (7, 6))
        assert self.box.shifted((1, 1)) == Box((3, 0), (6, 5))
        assert self.box.relative_to(Box((2, -1), (9, 9))) == Box((0, 0), (3, 5))

    def test_intersect(self):
        assert self.box.intersect(Box((0, 0), (3, 9))) == Box((2, 0), (3, 4))
        assert self.box.intersect(Box((50, 50), (60, 60))).size == 0

    def test_contains(self):
        assert self.box.contains(Box((2, 0), (5, 4)))
        assert not self.box.contains(Box((2, 0), (6, 4)))

    def test_is_hashable_ordered_and_picklable(self):
        assert pickle.loads(pickle.dumps(self.box)) == self.box
        assert len({self.box, Box((2, -1), (5, 4))}) == 1
        assert Box((0,), (2,)) < Box((1,), (2,))


class TestPlan:
    def test_worked_example(self):
        plan = plan_tiles(Box((0, 0), (100, 200)), core=128, halo=32, scale=4)
        assert list(plan) == [
            Tile((0, 0), Box((0, 0), (128, 128)), Box((-32, -32), (160, 160))),
            Tile((0, 1), Box((0, 128), (128, 256)), Box((-32, 96), (160, 288))),
        ]
        assert len(plan) == 2
        assert plan.window_side == 192

    def test_an_empty_region_has_no_tiles(self):
        plan = plan_tiles(Box((5, 5), (5, 9)), core=4, halo=1, scale=2)
        assert len(plan) == 0
        assert list(plan) == []

    @pytest.mark.parametrize("wrong", [{"core": 0}, {"halo": -1}, {"scale": 0}])
    def test_impossible_numbers_are_refused(self, wrong):
        with pytest.raises(ValueError, match="impossible plan"):
            plan_tiles(Box((0, 0), (8, 8)), **({"core": 4, "halo": 1, "scale": 2} | wrong))

    def test_is_data(self):
        plan = TilePlan(Box((0, 0), (8, 8)), 4, 1, 2)
        assert pickle.loads(pickle.dumps(plan)) == plan
        assert list(plan) == list(plan)


def test_iterate_is_row_major():
    assert list(iterate(Box((0, 1), (2, 3)))) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert list(iterate(Box((), ()))) == [()]


def test_shards_are_cut_at_the_far_edges():
    assert list(shards((3, 4), 2)) == [
        ((0, 0), Box((0, 0), (2, 2))),
        ((0, 1), Box((0, 2), (2, 4))),
        ((1, 0), Box((2, 0), (3, 2))),
        ((1, 1), Box((2, 2), (3, 4))),
    ]
