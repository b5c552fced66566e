"""What the maps of a result mean, in one line each; docs/reference/maps.md says it at length."""

from __future__ import annotations

MEANINGS = {
    "sample": "one image that explains the data, drawn like all others and not chosen",
    "mean": "the mean of what the data allow",
    "std": "standard deviation of the draws at one pixel; not an error to add in quadrature",
    "risk": "how often sample is wrong by more than the tolerance where it looks like this",
    "risk_raw": "share of the voting draws that differ from sample; not calibrated",
    "risk_bound": "certified bound of that share; NaN where the image is out of domain",
    "risk_invented": "how often sample is above the truth by more than the tolerance",
    "risk_missed": "how often sample is below the truth by more than the tolerance",
    "risk_mean": "how often mean is wrong by more than the tolerance",
    "alarm": "1 where the risk reaches the threshold of the calibration",
    "lower": "lower end of an interval about mean that holds 90 % of such pixels",
    "upper": "upper end of an interval about mean that holds 90 % of such pixels",
    "ood": "1 where the image is unlike those of the calibration",
    "support": "share of the local detail energy that was measured above the noise",
    "tolerance": "how large the error of a 3 px mean must be to count",
    "snr": "S/N of the measurement's local mean",
    "samples": "stored draws, with a leading axis",
    "texture": "illustrative: one image made to look like a measured one; not for measurements",
    "step_2x": "what the network takes for the mean at 2x; not projected on the data",
    "step_4x": "what the network takes for the mean at 4x; not projected on the data",
}


def meaning(name: str) -> str:
    """One line about a map.

    Examples
    --------
    >>> meaning("keypoints_spot")
    'heatmap of keypoints of the kind spot that is expected given the data'
    >>> meaning("samples/3")
    'stored draws, with a leading axis'
    """
    kind = name.removeprefix("keypoints_")
    if kind != name:
        return f"heatmap of keypoints of the kind {kind} that is expected given the data"
    return MEANINGS.get(name.partition("/")[0], "")


__all__ = ["MEANINGS", "meaning"]
