"""What must hold for every box, plan and layout of shards."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from sciup.geometry import Box, plan_tiles, shards
from sciup.testing.strategies import boxes, plans

factors = st.integers(1, 9)
margins = st.integers(0, 20)
offsets = st.tuples(st.integers(-50, 50), st.integers(-50, 50))


def pixels(box):
    """The box as a set of pixels: the plain meaning that the algebra must agree with."""
    return {(y, x) for y in range(*span(box, 0)) for x in range(*span(box, 1))}


def span(box, axis):
    return box.start[axis], box.stop[axis]


small = boxes(low=-12, high=12, max_side=12)


class TestBoxes:
    @given(small)
    def test_size_counts_the_pixels(self, box):
        assert box.size == len(pixels(box)) == np.prod(box.shape)

    @given(small, small)
    def test_intersection_is_that_of_the_sets(self, a, b):
        assert pixels(a.intersect(b)) == pixels(a) & pixels(b)
        assert a.intersect(b).size == b.intersect(a).size

    @given(small, small)
    def test_contains_is_the_subset_relation(self, a, b):
        assume(b.size)
        assert a.contains(b) == (pixels(b) <= pixels(a))

    @given(boxes(), factors)
    def test_scaling_multiplies_the_shape_and_coarsening_undoes_it(self, box, factor):
        fine = box.scaled(factor)
        assert fine.shape == tuple(n * factor for n in box.shape)
        assert fine.coarsened(factor) == box

    @given(boxes(), factors)
    def test_coarsening_covers_and_wastes_less_than_one_pixel(self, box, factor):
        cover = box.coarsened(factor).scaled(factor)
        assert cover.contains(box)
        for axis in range(2):
            assert box.start[axis] - cover.start[axis] < factor
            assert cover.stop[axis] - box.stop[axis] < factor

    @given(boxes(), factors, factors)
    def test_scalings_compose(self, box, a, b):
        assert box.scaled(a).scaled(b) == box.scaled(a * b)
        assert box.coarsened(a).coarsened(b) == box.coarsened(a * b)

    @given(boxes(), margins)
    def test_growing_is_undone_by_shrinking(self, box, margin):
        assert box.grown(margin).grown(-margin) == box
        assert box.grown(margin).contains(box)

    @given(boxes(), offsets)
    def test_shifting_is_undone(self, box, offset):
        back = tuple(-o for o in offset)
        assert box.shifted(offset).shifted(back) == box
        assert box.shifted(offset).shape == box.shape

    @given(boxes(), boxes())
    def test_relative_boxes_keep_shape_and_place(self, box, other):
        relative = box.relative_to(other)
        assert relative.shape == box.shape
        assert relative.shifted(other.start) == box


class TestPlans:
    @given(plans())
    def test_every_pixel_is_owned_exactly_once(self, plan):
        owners = np.zeros(plan.region.shape, int)
        for tile in plan:
            owners[tile.core.intersect(plan.region).relative_to(plan.region).slices] += 1
        assert (owners == 1).all()

    @given(plans())
    def test_cores_are_disjoint_even_outside_the_region(self, plan):
        assume(plan.region.size)
        whole = plan.region.coarsened(plan.core).scaled(plan.core)
        owners = np.zeros(whole.shape, int)
        for tile in plan:
            owners[tile.core.relative_to(whole).slices] += 1
        assert (owners == 1).all()

    @given(plans())
    def test_every_window_has_the_same_size_and_its_core_in_the_middle(self, plan):
        for tile in plan:
            assert tile.core.shape == (plan.core, plan.core)
            assert tile.window.shape == (plan.window_side, plan.window_side)
            assert tile.window.grown(-plan.halo) == tile.core

    @given(plans())
    def test_tiles_lie_on_one_absolute_grid(self, plan):
        for tile in plan:
            assert tile.core.start == tuple(i * plan.core for i in tile.index)

    @given(plans())
    def test_length_order_and_no_idle_tile(self, plan):
        tiles = list(plan)
        assert len(tiles) == len(plan)
        assert [t.index for t in tiles] == sorted({t.index for t in tiles})
        assert all(tile.core.intersect(plan.region).size for tile in tiles)

    @given(plans(), boxes())
    def test_a_part_of_a_region_uses_tiles_of_the_whole(self, plan, part):
        part = part.intersect(plan.region)
        fewer = plan_tiles(part, plan.core, plan.halo, plan.scale)
        assert set(fewer) <= set(plan)


class TestShards:
    shapes = st.tuples(st.integers(0, 60), st.integers(0, 60))

    @given(shapes, st.integers(1, 25))
    def test_every_output_pixel_is_written_exactly_once(self, shape, side):
        writers = np.zeros(shape, int)
        for _, box in shards(shape, side):
            assert box.size
            writers[box.slices] += 1
        assert (writers == 1).all()

    @given(shapes, st.integers(1, 25))
    def test_shards_are_aligned_and_only_the_last_are_short(self, shape, side):
        for index, box in shards(shape, side):
            assert box.start == tuple(i * side for i in index)
            for extent, stop, length in zip(box.shape, box.stop, shape, strict=True):
                assert extent == side or stop == length

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(1, 8))
    def test_a_shard_needs_whole_input_pixels(self, height, width, scale, side):
        """With a side that is a multiple of the scale, no input pixel feeds two shards."""
        region = Box.of_shape((height, width))
        readers = np.zeros(region.shape, int)
        for _, box in shards(region.scaled(scale).shape, side * scale):
            readers[box.coarsened(scale).slices] += 1
        assert (readers == 1).all()
