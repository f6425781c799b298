import h5py
import numpy as np
import pytest

from skworm.datasets import load_functional_atlas

NAMES = ("AVAL", "RID", "VB1")
# Rows respond, columns are stimulated.
RESPONSES = np.array([[1.0, np.nan, 0.2], [0.0, 2.0, np.nan], [-0.3, 0.1, 3.0]])


@pytest.fixture
def path(tmp_path):
    """A file in the layout of funatlas.h5, small."""
    path = tmp_path / "funatlas.h5"
    with h5py.File(path, "w") as file:
        file.attrs["kernels_keys"] = np.bytes_("g,factor,power_t,branch")
        file["neuron_ids"] = np.array(NAMES, dtype="S5")
        for strain, factor in (("wt", 1), ("unc31", 10)):
            group = file.create_group(strain)
            group["dFF"] = factor * RESPONSES
            group["q"] = np.full((3, 3), 0.5)
            group["occ1"] = np.arange(9).reshape(3, 3)
            group["q_eq_th"] = 1.2
            group.create_dataset("dFF_all", (3, 3), dtype=h5py.vlen_dtype(np.float64))
    return path


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def test_stimulated_neurons_are_pre_and_nan_stays(path):
    atlas = load_functional_atlas(path)
    assert atlas.index.tolist() == atlas.columns.tolist() == ["AVAL", "RID", "VB01"]
    assert (atlas.index.name, atlas.columns.name) == ("pre", "post")
    assert atlas.loc["AVAL", "VB01"] == -0.3
    assert atlas.loc["AVAL", "RID"] == 0.0
    assert np.isnan(atlas.loc["RID", "AVAL"])
    np.testing.assert_array_equal(atlas.to_numpy(), RESPONSES.T)
    assert atlas.attrs == {
        "source": "randi2023",
        "kind": "functional",
        "doi": "10.1038/s41586-023-06683-4",
        "strain": "wt",
        "measure": "dFF",
    }


def test_other_strains_and_measures(path):
    np.testing.assert_array_equal(load_functional_atlas(str(path), strain="unc31"), 10 * RESPONSES.T)
    observations = load_functional_atlas(path, measure="occ1")
    assert observations.loc["VB01", "AVAL"] == 2
    assert (observations.dtypes == np.float64).all()


def test_names_may_be_strings_of_variable_length(path):
    def rename(file):
        del file["neuron_ids"]
        file["neuron_ids"] = list(NAMES)

    edit(path, rename)
    assert load_functional_atlas(path).index.tolist() == ["AVAL", "RID", "VB01"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strain": "unc13"}, r"has no group of the strain 'unc13'; it has \['unc31', 'wt'\]"),
        ({"strain": "neuron_ids"}, r"no group of the strain 'neuron_ids'"),
        (
            {"measure": "dff"},
            r"no dataset 'wt/dff' .*\[response, stimulated\]; those of 'wt' are \['dFF', 'occ1', 'q'\]",
        ),
        ({"measure": "dFF_all"}, r"no dataset 'wt/dFF_all' of numbers of shape \(3, 3\)"),
        ({"measure": "q_eq_th"}, r"no dataset 'wt/q_eq_th' of numbers"),
    ],
)
def test_what_the_file_lacks_is_named(path, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_functional_atlas(path, **arguments)


def test_a_file_of_another_layout_is_refused(path):
    edit(path, lambda file: file.move("neuron_ids", "names"))
    with pytest.raises(
        ValueError, match=r"no dataset 'neuron_ids' .*it holds \['names', 'unc31', 'wt'\]; pass the file"
    ):
        load_functional_atlas(path)
    edit(path, lambda file: file.create_dataset("neuron_ids", data=np.arange(3)))
    with pytest.raises(ValueError, match=r"no dataset 'neuron_ids' of the names of neurons"):
        load_functional_atlas(path)


def test_repeated_names_are_refused(path):
    edit(path, lambda file: file["neuron_ids"].write_direct(np.array(["VB01", "RID", "VB1"], dtype="S5")))
    with pytest.raises(ValueError, match=r"repeats \['VB01'\]"):
        load_functional_atlas(path)


def test_absent_and_damaged_files_are_refused(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent\.h5; pass the file funatlas\.h5 of Randi"):
        load_functional_atlas(tmp_path / "absent.h5")
    with pytest.raises(FileNotFoundError, match=r"there is no file"):
        load_functional_atlas(tmp_path)
    text = tmp_path / "atlas.h5"
    text.write_text("pre,post\n")
    with pytest.raises(ValueError, match=r"atlas\.h5.*not an HDF5 file"):
        load_functional_atlas(text)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"funatlas\.h5 cannot be read"):
        load_functional_atlas(path)
