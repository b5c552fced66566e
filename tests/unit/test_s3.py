"""FITS and OME-Zarr in buckets: who asks, and what is said where nothing comes."""

import sys

import numpy as np
import pytest
from astropy.io import fits
from fsspec.config import conf
from fsspec.registry import _registry
from s3_server import serve_s3

import sciup
from sciup.cli import main
from sciup.errors import InputError, MissingPackageError, OutputError
from sciup.geometry import Box
from sciup.io import _stores, open_image
from sciup.io._provenance import read_provenance
from sciup.testing.microscopy_files import write_ome_zarr
from sciup.testing.toy_model import write_toy_model

PLANE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
BOTH = ["a.fits", "0.5.zarr"]


@pytest.fixture
def buckets(tmp_path, monkeypatch):
    """Two buckets with the same files, ``open`` and ``secret``, on a machine without any keys."""
    for bucket in ("open", "secret"):
        folder = tmp_path / bucket
        folder.mkdir()
        fits.PrimaryHDU(PLANE.astype("i2")).writeto(folder / "a.fits")
        for version in ("0.4", "0.5"):
            write_ome_zarr(folder / f"{version}.zarr", PLANE, "yx", version=version)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sciup.io._remote.FIRST", 0.001)
    _stores._has_credentials.cache_clear()
    with serve_s3(tmp_path, private=("secret",)) as served:
        monkeypatch.setitem(conf, "s3", {"endpoint_url": served.address})
        yield served
    _stores._has_credentials.cache_clear()


def whole(url):
    return open_image(url).read((), Box.of_shape(PLANE.shape))[0]


@pytest.mark.parametrize("name", [*BOTH, "0.4.zarr"])
def test_without_credentials_s3_is_asked_anonymously_which_is_said(name, buckets, caplog):
    caplog.set_level("INFO", "sciup")
    np.testing.assert_array_equal(whole(f"s3://open/{name}"), PLANE)
    np.testing.assert_array_equal(whole(f"s3://open/{name}"), PLANE)
    assert caplog.text.count("no credentials were found, asking anonymously") == 1


@pytest.mark.parametrize("name", BOTH)
def test_credentials_of_the_environment_are_used(name, buckets, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "good")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    np.testing.assert_array_equal(whole(f"s3://secret/{name}"), PLANE)


def test_the_command_line_asks_whom_the_environment_says(buckets, tmp_path, monkeypatch):
    """The variables of Amazon's own tools; an option without effect has a connection of its own."""
    monkeypatch.setitem(conf, "s3", {"requester_pays": False})
    monkeypatch.setenv("AWS_ENDPOINT_URL", buckets.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "good")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    model = write_toy_model(tmp_path / "model", domain="night-sky", scale=2)
    with pytest.raises(SystemExit) as done:
        main(
            [
                "upscale",
                "s3://secret/a.fits",
                str(tmp_path / "out.fits"),
                "--roi",
                "4:20,8:32",
                "--samples",
                "1",
                "--psf-fwhm",
                "2.4",
                "--device",
                "cpu",
                "--model",
                str(model),
            ]
        )
    assert done.value.code == 0
    assert fits.getheader(tmp_path / "out.fits")["SCIROI"] == "4:20,8:32"
    assert read_provenance(tmp_path / "out.fits")["source"] == "s3://secret/a.fits"


def test_credentials_of_a_profile_are_used(buckets, tmp_path, monkeypatch):
    (tmp_path / ".aws").mkdir()
    keys = "aws_access_key_id = good\naws_secret_access_key = secret\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[mine]\n{keys}")
    monkeypatch.setitem(conf, "s3", {**conf["s3"], "profile": "mine"})
    np.testing.assert_array_equal(whole("s3://secret/a.fits"), PLANE)
    monkeypatch.setitem(conf, "s3", {**conf["s3"], "profile": "other"})
    with pytest.raises(InputError, match=r"credentials for S3.*other.*AWS_PROFILE"):
        whole("s3://secret/a.fits")


def test_who_says_that_nobody_asks_is_believed(buckets, monkeypatch, caplog):
    caplog.set_level("INFO", "sciup")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setitem(conf, "s3", {**conf["s3"], "anon": True})
    np.testing.assert_array_equal(whole("s3://open/a.fits"), PLANE)
    assert "anonymously" not in caplog.text


@pytest.mark.parametrize("name", BOTH)
def test_what_is_forbidden_names_the_settings(name, buckets, caplog):
    with pytest.raises(InputError, match="Forbidden") as error:
        whole(f"s3://secret/{name}")
    for word in ("AWS_PROFILE", "FSSPEC_S3_ANON", "AWS_ENDPOINT_URL"):
        assert word in error.value.fix
    assert "try 2" not in caplog.text


@pytest.mark.parametrize("name", BOTH)
def test_without_a_key_and_without_leave_to_ask_there_is_no_use(name, buckets, monkeypatch, caplog):
    monkeypatch.setitem(conf, "s3", {**conf["s3"], "anon": False})
    with pytest.raises(InputError, match="Unable to locate credentials"):
        whole(f"s3://open/{name}")
    assert "try 2" not in caplog.text


@pytest.mark.parametrize("url", ["open/no.fits", "open/no.zarr", "no/a.fits", "no/0.5.zarr"])
def test_no_such_bucket_or_key(url, buckets, caplog):
    with pytest.raises(InputError, match=f"neither a file nor a Zarr image at s3://{url}"):
        whole(f"s3://{url}")
    assert "try 2" not in caplog.text


def test_no_bucket_has_such_a_name(buckets, caplog):
    with pytest.raises(InputError, match="Invalid bucket name"):
        whole("s3://b$d/a.fits")
    assert "try 2" not in caplog.text


@pytest.mark.parametrize("name", BOTH)
def test_a_store_that_is_down_is_tried_a_few_times(name, buckets, monkeypatch, caplog):
    monkeypatch.setattr("sciup.io._remote.TRIES", 3)
    monkeypatch.setitem(conf, "s3", {"endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(InputError, match=r"failed 3 times.*Could not connect"):
        whole(f"s3://open/{name}")
    assert "try 3 of 3" in caplog.text


def test_a_store_that_is_busy_is_asked_again(buckets):
    buckets.fail = 2
    np.testing.assert_array_equal(whole("s3://open/a.fits"), PLANE)
    assert buckets.fail == 0


@pytest.mark.parametrize("name", BOTH)
def test_without_s3fs_the_package_is_named(name, buckets, monkeypatch):
    monkeypatch.delitem(_registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackageError, match="pip install s3fs"):
        whole(f"s3://open/{name}")


def test_results_are_not_written_to_a_bucket(buckets, tmp_path):
    model = write_toy_model(tmp_path / "model", domain="night-sky", scale=2)
    result = sciup.upscale("s3://open/a.fits", model=model, psf_fwhm=2.4, device="cpu")
    with pytest.raises(OutputError, match=r"s3://open/b\.fits is not on this machine"):
        result.save("s3://open/b.fits")
