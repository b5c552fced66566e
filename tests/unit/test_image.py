"""Reading windows with mirrored padding, the pixel grid, and regions of interest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.image import Image, PixelGrid, mirror, parse_roi
from sciup.testing.strategies import boxes


class MemoryImage(Image):
    """An image in memory that notes which boxes were loaded."""

    def __init__(self, array, masked=None, axes="yx"):
        super().__init__(axes, array.shape, array.dtype, "test", "array")
        self.array = array
        self.masked = np.zeros(array.shape, bool) if masked is None else masked
        self.loaded = []

    def load(self, plane, box):
        self.loaded.append(box)
        return self.array[plane][box.slices].astype(np.float32), ~self.masked[plane][box.slices]


def numbered(height=5, width=7):
    return np.arange(height * width, dtype=np.float32).reshape(height, width)


class TestMirror:
    @given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
    def test_is_the_symmetric_padding_of_numpy(self, length, before, after):
        expected = np.pad(np.arange(length), (before, after), mode="symmetric")
        np.testing.assert_array_equal(mirror(-before, length + after, length), expected)

    @given(st.integers(1, 9), st.integers(-60, 60))
    def test_a_pixel_alone_has_the_index_it_has_in_company(self, length, pixel):
        assert mirror(pixel, pixel + 1, length)[0] == mirror(pixel - 5, pixel + 5, length)[5]


class TestRead:
    def test_inside_nothing_is_changed(self):
        image = MemoryImage(numbered())
        values, footprint = image.read((), Box((1, 2), (4, 6)))
        np.testing.assert_array_equal(values, image.array[1:4, 2:6])
        assert values.dtype == np.float32
        assert footprint.dtype == bool
        assert footprint.all()

    @given(boxes(low=-20, high=20, max_side=25).filter(lambda box: box.size))
    def test_outside_is_mirrored_and_not_in_the_footprint(self, box):
        image = MemoryImage(numbered())
        whole = Box.of_shape(image.plane_shape)
        pad = 50
        values, footprint = image.read((), box)
        padded = np.pad(image.array, pad, mode="symmetric")
        np.testing.assert_array_equal(values, padded[box.shifted((pad, pad)).slices])
        inside = np.pad(np.ones(image.shape, bool), pad)
        np.testing.assert_array_equal(footprint, inside[box.shifted((pad, pad)).slices])
        assert all(whole.contains(loaded) for loaded in image.loaded)

    def test_only_the_pixels_needed_are_loaded(self):
        image = MemoryImage(numbered(100, 100))
        image.read((), Box((-3, 90), (5, 104)))
        assert image.loaded == [Box((0, 90), (5, 100))]

    def test_masked_and_not_finite_pixels_become_nan(self):
        array = numbered()
        array[1, 1], array[2, 2] = np.nan, np.inf
        masked = np.zeros(array.shape, bool)
        masked[3, 3] = True
        values, footprint = MemoryImage(array, masked).read((), Box.of_shape(array.shape))
        expected = np.ones(array.shape, bool)
        expected[[1, 2, 3], [1, 2, 3]] = False
        np.testing.assert_array_equal(footprint, expected)
        np.testing.assert_array_equal(np.isnan(values), ~expected)
        np.testing.assert_array_equal(values[expected], array[expected])

    def test_a_mirrored_masked_pixel_is_nan_too(self):
        masked = np.zeros((5, 7), bool)
        masked[0, 0] = True
        values, footprint = MemoryImage(numbered(), masked).read((), Box((-1, -1), (1, 1)))
        assert np.isnan(values).all()
        assert not footprint.any()

    def test_the_input_is_not_changed(self):
        array, masked = numbered(), np.zeros((5, 7), bool)
        masked[2] = True
        before = array.copy()
        MemoryImage(array, masked).read((), Box((-2, -2), (9, 9)))
        np.testing.assert_array_equal(array, before)

    def test_planes_are_row_major_and_independent(self):
        array = np.arange(2 * 3 * 4 * 4, dtype=np.uint16).reshape(2, 3, 4, 4)
        image = MemoryImage(array, axes="tcyx")
        assert list(image.planes) == list(np.ndindex(2, 3))
        for plane in image.planes:
            values, _ = image.read(plane, Box((0, 0), (4, 4)))
            np.testing.assert_array_equal(values, array[plane])

    def test_an_image_of_one_plane_has_one_empty_index(self):
        assert list(MemoryImage(numbered()).planes) == [()]


class TestPixelGrid:
    sizes = st.floats(0.01, 10)
    scales = st.integers(1, 8)
    origins = st.floats(-100, 100)

    def test_without_a_size_nothing_is_known_of_the_scaled_grid(self):
        assert PixelGrid().scaled(4, (3, 5)) == PixelGrid()

    @given(sizes, sizes, origins, origins, scales, st.integers(-9, 9), st.integers(-9, 9))
    def test_the_fine_pixels_of_a_pixel_have_their_centre_at_its_centre(
        self, py, px, ty, tx, scale, y, x
    ):
        grid = PixelGrid((py, px), "micrometer", (ty, tx))
        fine = grid.scaled(scale, (y, x))
        assert fine.size == pytest.approx((py / scale, px / scale))
        assert fine.unit == "micrometer"
        for t, p, n, fine_t, fine_p in zip(
            grid.origin, grid.size, (y, x), fine.origin, fine.size, strict=True
        ):
            centres = fine_t + fine_p * np.arange(scale)
            assert centres.mean() == pytest.approx(t + p * n, abs=1e-9)

    @given(sizes, origins, scales, scales)
    def test_scalings_compose(self, size, origin, a, b):
        grid = PixelGrid((size, 2 * size), "arcsec", (origin, -origin))
        twice, once = grid.scaled(a).scaled(b), grid.scaled(a * b)
        assert twice.size == pytest.approx(once.size)
        assert twice.origin == pytest.approx(once.origin, abs=1e-9)

    def test_scale_1_only_moves(self):
        assert PixelGrid((2.0, 3.0), "um", (1.0, 1.0)).scaled(1, (1, 2)).origin == (3.0, 7.0)


class TestParseRoi:
    @pytest.mark.parametrize(
        ("text", "box"),
        [
            ("10:20,30:40", Box((10, 30), (20, 40))),
            (":,:", Box((0, 0), (50, 60))),
            (":5,55:", Box((0, 55), (5, 60))),
            (" 1 : 2 , 3 : 4 ", Box((1, 3), (2, 4))),
            ("0:50,0:60", Box((0, 0), (50, 60))),
        ],
    )
    def test_reads(self, text, box):
        assert parse_roi(text, (50, 60)) == box

    @pytest.mark.parametrize(
        "text",
        ["", "10:20", "1:2,3:4,5:6", "a:2,3:4", "1:2:3,4:5", "1,2", "1.5:2,3:4"],
    )
    def test_refuses_what_it_cannot_read(self, text):
        with pytest.raises(OptionError, match=r"cannot be read.*Allowed.*0:50,0:60.*To fix it"):
            parse_roi(text, (50, 60))

    @pytest.mark.parametrize(
        "text", ["5:5,0:9", "9:2,0:9", "0:51,0:9", "-1:4,0:9", "0:4,70:80", "0:4,0:61"]
    )
    def test_refuses_what_is_empty_or_outside(self, text):
        with pytest.raises(OptionError, match="empty or not inside the image of 50 x 60 px"):
            parse_roi(text, (50, 60))
