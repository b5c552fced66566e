"""What a new method has to beat: interpolation, and classical deconvolution with interpolation.

All functions keep the intensity: the block mean of the result is that of the input, up to noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RL_ITERATIONS = 5
WIENER_BALANCE = 5.0
TV_WEIGHT = 0.02
TV_ITERATIONS = 15


def nearest(image: Array, scale: int) -> Array:
    """Repeat every pixel."""
    return image.repeat(scale, -1).repeat(scale, -2)


def bicubic(image: Array, scale: int) -> Array:
    """Cubic convolution with a = -0.75, as in torch and OpenCV.

    References
    ----------
    Keys (1981), IEEE TASSP 29, 1153.
    """
    import torch

    x = torch.from_numpy(np.ascontiguousarray(image, np.float64))[None, None]
    out = torch.nn.functional.interpolate(x, scale_factor=scale, mode="bicubic")
    return np.asarray(out[0, 0].numpy())


def lanczos(image: Array, scale: int, lobes: int = 3) -> Array:
    """Interpolate with a Lanczos window of 2 x 3 pixels; edges are mirrored.

    References
    ----------
    Duchon (1979), J. Appl. Meteorol. 18, 1016.
    """
    rows, cols = (_lanczos_matrix(n, scale, lobes) for n in image.shape)
    return np.asarray(rows @ image @ cols.T)


def _lanczos_matrix(length: int, scale: int, lobes: int) -> Array:
    """Weights (scale * length, length)."""
    centre = (np.arange(length * scale) + 0.5) / scale - 0.5
    first = np.floor(centre).astype(int) - lobes + 1
    index = first[:, None] + np.arange(2 * lobes)
    t = centre[:, None] - index
    weight = np.sinc(t) * np.sinc(t / lobes)
    weight /= weight.sum(1, keepdims=True)
    folded = index % (2 * length)
    folded = np.where(folded < length, folded, 2 * length - 1 - folded)
    out = np.zeros((length * scale, length))
    np.add.at(out, (np.arange(length * scale)[:, None], folded), weight)
    return out


def total_kernel(kernel: Array, scale: int) -> Array:
    """Kernel and mean over an input pixel, both centred on the middle pixel of an odd side.

    The mean over an even number of fine pixels is centred between two of them: its spectrum
    ``sin(pi s f) / (s sin(pi f))`` moves it without widening it.
    """
    padded = np.pad(kernel, scale)
    f = np.fft.fftfreq(padded.shape[0])
    pixel = np.sinc(scale * f) / np.sinc(f)
    spectrum = np.fft.fft2(np.fft.ifftshift(padded)) * np.outer(pixel, pixel)
    return np.asarray(np.fft.fftshift(np.fft.ifft2(spectrum).real))


def richardson_lucy(
    image: Array, scale: int, kernel: Array, iterations: int = RL_ITERATIONS
) -> Array:
    """Bicubic to the fine grid, then Richardson-Lucy with the kernel and the pixel.

    Parameters
    ----------
    image : ndarray (h, w)
        Electrons above the pedestal; negative values count as 0.
    scale : int
        Fine pixels per input pixel.
    kernel : ndarray
        Relative kernel on the fine grid.
    iterations : int
        Few, since it amplifies noise.

    References
    ----------
    Richardson (1972), JOSA 62, 55; Lucy (1974), AJ 79, 745.
    """
    from skimage.restoration import richardson_lucy as solve

    start, top, edge = _padded(np.maximum(image, 0), scale, kernel)
    start = np.maximum(start, 1e-6 * top)
    out = solve(start / top, total_kernel(kernel, scale), num_iter=iterations, clip=False)
    return np.asarray(out[edge:-edge, edge:-edge] * top)


def wiener(image: Array, scale: int, kernel: Array, balance: float = WIENER_BALANCE) -> Array:
    """Bicubic to the fine grid, then a Wiener filter with a Laplacian prior.

    Parameters
    ----------
    image, scale, kernel
        See `richardson_lucy`.
    balance : float
        Weight of the prior.

    References
    ----------
    Orieux, Giovannelli & Rodet (2010), JOSA A 27, 1593.
    """
    from skimage.restoration import wiener as solve

    fine, top, edge = _padded(image, scale, kernel)
    out = solve(fine / top, total_kernel(kernel, scale), balance, clip=False)
    return np.asarray(out[edge:-edge, edge:-edge] * top)


def total_variation(
    image: Array,
    scale: int,
    kernel: Array,
    weight: float = TV_WEIGHT,
    iterations: int = TV_ITERATIONS,
) -> Array:
    """Bicubic to the fine grid, then Richardson-Lucy with total variation as a prior.

    Parameters
    ----------
    image, scale, kernel
        See `richardson_lucy`.
    weight : float
        Of the total variation; 0 to 1 / 4.
    iterations : int

    References
    ----------
    Dey et al. (2006), Microsc. Res. Tech. 69, 260, eq. 10.
    """
    from scipy.signal import fftconvolve

    y, top, edge = _padded(np.maximum(image, 0), scale, kernel)
    floor = 1e-6 * top
    y = np.maximum(y, floor)
    x = np.full_like(y, y.mean())  # started from y, its noise would stay
    total = total_kernel(kernel, scale)
    for _ in range(iterations):
        seen = np.maximum(fftconvolve(x, total, "same"), floor)
        back = fftconvolve(y / seen, total[::-1, ::-1], "same")
        x = np.maximum(x * back / (1 - weight * _curvature(x, 1e-3 * top)), floor)
    return np.asarray(x[edge:-edge, edge:-edge])


def _curvature(x: Array, least: float) -> Array:
    """Divergence of the unit gradient; gradients far below `least` count less."""
    dy, dx = np.diff(x, axis=0, append=x[-1:]), np.diff(x, axis=1, append=x[:, -1:])
    length = np.sqrt(dy**2 + dx**2 + least**2)
    dy, dx = dy / length, dx / length
    return np.diff(dy, axis=0, prepend=0 * dy[:1]) + np.diff(dx, axis=1, prepend=0 * dx[:, :1])


def denoise(electrons: Array, read_noise: float, strength: float) -> Array:
    """Non-local means in Anscombe units, where the noise is 1.

    Parameters
    ----------
    electrons : ndarray (h, w)
    read_noise : float
        Electrons.
    strength : float
        Decay of the weights in sigmas; 0 changes nothing.

    References
    ----------
    Buades, Coll & Morel (2005), CVPR, 60; back by the asymptotically unbiased inverse (Makitalo &
    Foi 2013, IEEE TIP 22, 91).
    """
    from skimage.restoration import denoise_nl_means

    if strength == 0:
        return electrons
    root = 2 * np.sqrt(np.maximum(electrons + 0.375 + read_noise**2, 0))
    smooth = denoise_nl_means(root, patch_size=5, patch_distance=7, h=strength, sigma=1.0)
    return np.asarray((smooth / 2) ** 2 - 0.125 - read_noise**2)


def _padded(image: Array, scale: int, kernel: Array) -> tuple[Array, float, int]:
    """Fine image with a mirrored apron as wide as the kernel, its largest value, and the apron."""
    apron = min(-(-kernel.shape[0] // (2 * scale)) + 1, *image.shape)
    fine = bicubic(np.pad(image.astype(np.float64), apron, mode="symmetric"), scale)
    return fine, float(max(fine.max(), 1e-12)), apron * scale
