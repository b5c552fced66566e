"""The catalogue of models, their cards, their checks, and their export to bioimage.io."""

import gc
import json
import warnings

import numpy as np
import pytest
import torch

from sciup import catalogue, cli
from sciup.errors import ModelError, OutputError
from sciup.generators.registry import load_generator
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_model import write_toy_model

CARD = """# toy

A model for *tests*, which
knows nothing.

## Limits
All.
"""


@pytest.fixture
def folder(tmp_path):
    model = write_toy_model(tmp_path / "toy", channels=4, head_channels=4)
    (model / "card.md").write_text(CARD)
    return model


@pytest.fixture
def shipped(folder, monkeypatch):
    """The toy is the only model that comes with sciup."""
    from sciup import resources

    monkeypatch.setattr(resources, "_roots", lambda: [folder.parent])
    return folder


def break_weights(folder):
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")


def call(capfd, *arguments):
    """Exit code and both streams of `sciup models ARGUMENTS`."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["models", *map(str, arguments)])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return (stop.value.code or 0), out, " ".join(err.split())


def test_an_entry(folder):
    entry = catalogue.Entry.read(folder)
    assert (entry.name, entry.domain, entry.scale) == ("toy", "night-sky", 2)
    assert entry.size == (folder / "weights.safetensors").stat().st_size
    assert (folder / "weights.sha256").read_text().startswith(entry.weights)
    assert entry.description == "A model for *tests*, which knows nothing."
    assert not entry.calibrated
    (folder / "calibration.json").touch()
    assert catalogue.Entry.read(folder).calibrated


def test_a_model_without_a_card(folder):
    (folder / "card.md").unlink()
    assert catalogue.Entry.read(folder).description == ""
    with pytest.raises(ModelError, match=r"no card\.md.*what the model is for"):
        catalogue.read_card(folder)


def test_the_list(capfd, shipped):
    code, _, err = call(capfd)
    assert code == 0
    assert "toy night-sky 2x" in err
    assert "raw" in err
    code, out, _ = call(capfd, "--json")
    (row,) = json.loads(out)
    assert (code, row["name"], row["folder"]) == (0, "toy", str(shipped))


def test_the_list_shows_damage_and_leaves_out_what_has_no_weights(capfd, shipped):
    break_weights(shipped)
    assert "damaged" in call(capfd)[2]
    (shipped / "weights.safetensors").unlink()
    assert json.loads(call(capfd, "--json")[1]) == []


@pytest.mark.parametrize("by", ["name", "folder"])
def test_the_card(capfd, shipped, by):
    code, out, _ = call(capfd, "show", "toy" if by == "name" else shipped)
    assert code == 0
    assert "A model for tests, which knows nothing." in out  # rendered


def test_whole_models_are_verified(capfd, shipped):
    for arguments in ([], ["toy"], [shipped]):
        code, _, err = call(capfd, "verify", *arguments)
        assert code == 0
        assert "as published" in err
    (shipped / "weights.sha256").unlink()
    assert "no weights.sha256 to compare" in call(capfd, "verify")[2]


def test_damage_is_told_with_exit_code_2(capfd, shipped):
    break_weights(shipped)
    for arguments in ([], ["toy"], [shipped]):
        code, _, err = call(capfd, "verify", *arguments)
        assert code == 2
        assert "checksum" in err
        assert "1 of 1 models cannot be used: toy" in err
    # without a stated checksum damage shows when the file is read
    (shipped / "weights.sha256").unlink()
    (shipped / "weights.safetensors").write_bytes(b"cut")
    assert call(capfd, "verify")[0] == 2


@pytest.fixture
def spec():
    """The library that checks packages; it leaves closing of files to the garbage collection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield pytest.importorskip("bioimageio.spec", reason="bioimageio.spec is not installed")
        gc.collect()


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_package_is_valid_and_runs_without_sciup(spec, capfd, tmp_path, scale):
    model = write_toy_model(tmp_path / "mine", scale=scale, channels=4, head_channels=4)
    (model / "card.md").write_text(CARD)
    write_toy_calibration(model, samples=4)
    out = tmp_path / "package"
    code, _, err = call(
        capfd, "export", model, out, "--author", "Ada Lovelace", "--licence", "CC-BY-4.0"
    )
    assert code == 0, err
    found = spec.load_description(out / "rdf.yaml", format_version="latest")
    assert found.validation_summary.status == "valid-format", found.validation_summary.format()
    assert (found.authors[0].name, str(found.license)) == ("Ada Lovelace", "CC-BY-4.0")
    arrays = [torch.from_numpy(np.load(out / f"{n}.npy")) for n in ("planes", "noise", "draw")]
    network, net = torch.jit.load(out / "network.pt"), load_generator(model)
    assert torch.equal(network(*arrays[:2]), arrays[2])
    # other sizes too, and the same numbers as in sciup
    planes = torch.randn(2, 7, 20 + 2 * net.spec.margin, 31 + 2 * net.spec.margin)
    noise = torch.randn(2, scale**2 + 1, 20 + 2 * net.head_margin, 31 + 2 * net.head_margin)
    with torch.inference_mode():
        expected = net.draw(net.encode(planes), noise)
        got = network(planes, noise)
    assert got.shape == (2, 1, 20 * scale, 31 * scale)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    # nothing is lost for sciup
    assert catalogue.verify(out) == catalogue.verify(model)
    calibration = (out / "calibration.json").read_bytes()
    assert calibration == (model / "calibration.json").read_bytes()
    assert "# toy" in (out / "README.md").read_text()


def test_a_shipped_model_needs_no_author(spec, capfd, shipped, tmp_path):
    out = tmp_path / "toy.zip"
    assert call(capfd, "export", "toy", out)[0] == 0
    found = spec.load_description(out)
    assert found.validation_summary.status == "valid-format"
    assert [a.name for a in found.authors] == ["The sciup developers"]


def test_what_cannot_be_exported(spec, capfd, folder, tmp_path):
    from sciup.export import export_model

    code, _, err = call(capfd, "export", folder, tmp_path / "o")
    assert code == 2
    assert "--author NAME" in err
    with pytest.raises(ModelError, match="not be valid: license"):
        export_model(folder, tmp_path / "o", ["A"], "my own")
    with pytest.raises(OutputError, match="exists already"):
        export_model(folder, folder, ["A"], "MIT")
    with pytest.raises(OutputError, match="no folder"):
        export_model(folder, tmp_path / "nowhere" / "o", ["A"], "MIT")
    (folder / "card.md").unlink()
    with pytest.raises(ModelError, match=r"no card\.md"):
        export_model(folder, tmp_path / "o", ["A"], "MIT")
    assert not (tmp_path / "o").exists()
