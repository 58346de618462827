"""Tables of soft labels: what is read from them, the images they name, and their errors."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tf_biggan.data.held_out import divide
from tf_biggan.data.pipeline import make_dataset
from tf_biggan.data.schemes import open_source
from tf_biggan.data.soft_labels import read_soft_labels
from tf_biggan.data.source import DataIdentity, check_labels, describe
from tf_biggan.data.tfrecord_writer import write_tfrecords

TABLE = """file,ant,bee
bee/1.png,0.25,0.75
ant/0.png,1,0
"bee/0.png",0.0,1.0

ant/1.png, 0.5 , 5e-1
ant/2.png,0.3333,0.6667
./bee/2.png,0,1
"""
# The rows in the order of folders and names.
WEIGHTS = [[1, 0], [0.5, 0.5], [0.3333, 0.6667], [0, 1], [0.25, 0.75], [0, 1]]


@pytest.fixture
def folder(own_folder):
    """Returns a folder with three images in each of two folders, and a table of soft labels."""
    (own_folder / "soft_labels.csv").write_text(TABLE)
    return own_folder


def test_a_table_gives_rows_in_the_order_of_folders_and_names(folder):
    table = read_soft_labels(str(folder / "soft_labels.csv"))
    assert table.class_names == ("ant", "bee") and table.weights.dtype == np.float32
    names = ["ant/0", "ant/1", "ant/2", "bee/0", "bee/1", "bee/2"]
    assert table.files == tuple(f"{name}.png" for name in names)
    assert table.lines == (3, 6, 7, 4, 2, 8)
    np.testing.assert_allclose(table.weights, WEIGHTS, rtol=1e-7)


def test_weights_are_divided_by_their_sum(tmp_path):
    (tmp_path / "t.csv").write_text("file,a,b,c\nx.png,0.333,0.333,0.333\ny.png,0,1.0005,0\n")
    weights = read_soft_labels(str(tmp_path / "t.csv")).weights
    np.testing.assert_allclose(weights, [[1 / 3] * 3, [0, 1, 0]], rtol=1e-7)


HEADER = "file,a,b\n"
WRONG = {
    "empty": ("", "must be file and the names of the classes.*first_line=''"),
    "no header": ("x.png,1,0\n", "must be file and the names.*first_line='x.png,1,0'"),
    "no classes": ("file\nx.png\n", "must be file and the names of the classes"),
    "semicolons": ("file;a;b\nx.png;1;0\n", "separated by commas.*first_line='file;a;b'"),
    "unnamed class": ("file,a,\nx.png,1,0\n", "must be file and the names of the classes"),
    "class twice": ("file,a,b,a\nx.png,1,0,0\n", r"every class once.*named_twice=\['a'\]"),
    "no rows": (HEADER, "no images; add rows"),
    "too few": (HEADER + "x.png,1\n", "one weight for each class.*image='x.png', weights=1,"),
    "too many": (HEADER + "x.png,1,0,0\n", "line=2, image='x.png', weights=3, classes=2"),
    "negative": (HEADER + "x.png,1,0\ny.png,-0.5,1.5\n", r"line=3, image='y.png', wrong=\['-0.5'"),
    "nan": (HEADER + "x.png,nan,1\n", r"at least 0.*line=2, image='x.png', wrong=\['nan'\]"),
    "infinite": (HEADER + "x.png,1e999,0\n", r"at least 0.*wrong=\['1e999'\]"),
    "no number": (HEADER + "x.png,one,\n", r"at least 0.*wrong=\['one', ''\]"),
    "zero": (HEADER + "x.png,0,0\n", "must sum to 1.*line=2, image='x.png', sum=0"),
    "not one": (HEADER + "x.png,0.5,0.51\n", "must sum to 1.*image='x.png', sum=1.01"),
    "twice": (
        HEADER + "x.png,1,0\n./x.png,0,1\n",
        "one row.*line=3, image='./x.png', other_line=2",
    ),
    "quote": (HEADER + '"x.png,1,0\n' + "a" * 200_000, "Cannot read soft labels .*, line 3: "),
}


@pytest.mark.parametrize("content, message", WRONG.values(), ids=WRONG)
def test_a_wrong_row_is_named_in_one_line(content, message, tmp_path):
    path = tmp_path / "soft_labels.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        open_source(f"folder:{tmp_path}")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_images_and_rows_must_be_the_same(folder):
    Image.new("L", (4, 4)).save(folder / "ant" / "more.png")
    with pytest.raises(ValueError, match=r"must have a row.*without_row=\['ant/more.png'\]"):
        open_source(f"folder:{folder}")
    (folder / "ant" / "more.png").unlink()
    (folder / "bee" / "1.png").rename(folder / "bee" / "1.txt")
    with pytest.raises(ValueError, match=r"no image of the folder.*line=2, image='bee/1.png'"):
        open_source(f"folder:{folder}")
    shutil.rmtree(folder / "bee")
    with pytest.raises(ValueError, match=r"no image of the folder.*line=4, image='bee/0.png'"):
        open_source(f"folder:{folder}")


def test_a_folder_with_a_table_counts_by_the_greatest_weight(folder):
    (folder / "notes.txt").write_text("no image")
    (folder / "another").mkdir()
    source = open_source(f"folder:{folder}")
    np.testing.assert_allclose(source.soft_labels, WEIGHTS, rtol=1e-7)
    assert source.labels.tolist() == [0, 0, 1, 1, 1, 1] and source.labels.dtype == np.int32
    first, left_out, *others = describe(source)
    assert first.endswith(": 6 images") and ": 1 .txt, 1 sub-folders. Images" in left_out
    assert others == [
        "Classes: 2 (ant, bee)",
        "Soft labels: 3 of 6 images have weights of several classes. Images are counted in the"
        " class of their greatest weight.",
        "Images per class: ant 2, bee 4",
    ]


def test_one_hot_rows_are_the_folder_of_classes(own_folder):
    by_folder = open_source(f"folder:{own_folder}")
    rows = [f"bee/{n}.png,0,1" for n in (2, 0, 1)] + [f"ant/{n}.png,1,0" for n in (1, 2, 0)]
    (own_folder / "soft_labels.csv").write_text("\n".join(["file,ant,bee", *rows]))
    soft = open_source(f"folder:{own_folder}")
    assert [soft.locate(i) for i in range(6)] == [by_folder.locate(i) for i in range(6)]
    assert soft.class_names == by_folder.class_names
    np.testing.assert_array_equal(soft.labels, by_folder.labels)
    np.testing.assert_array_equal(soft.soft_labels, np.eye(2)[by_folder.labels])


def test_records_give_the_batches_of_the_folder(folder, tmp_path):
    source, output = open_source(f"folder:{folder}"), tmp_path / "records"
    description = write_tfrecords(source, str(output), image_size=8, num_shards=2)
    # Versions that know no soft labels refuse these records.
    assert description["format_version"] == 2 and description["label_counts"] == [2, 4]
    records = open_source(f"tfrecord:{output}")
    np.testing.assert_array_equal(records.soft_labels, source.soft_labels)
    np.testing.assert_array_equal(records.labels, source.labels)
    arguments = dict(image_size=8, image_channels=3, batch_size=6, seed=4)
    for order in ("full", "blocks"):
        made = make_dataset(records, **arguments, cache=False, data_order=order)
        images, labels = next(made.as_numpy_iterator())
        assert labels.shape == (6, 2) and labels.dtype == np.float32
        if order == "full":
            expected = next(make_dataset(source, **arguments).as_numpy_iterator())
            np.testing.assert_array_equal(images, expected[0])
            np.testing.assert_array_equal(labels, expected[1])
    # Every image still has its own label.
    known = {image.tobytes(): label for image, label in zip(*expected, strict=True)}
    assert all((known[i.tobytes()] == w).all() for i, w in zip(images, labels, strict=True))
    (output / "index.npz").unlink()
    write_tfrecords(source, str(output), image_size=8, num_shards=2)
    np.testing.assert_array_equal(open_source(f"tfrecord:{output}").soft_labels, source.soft_labels)
    (folder / "soft_labels.csv").write_text(TABLE.replace("0.25,0.75", "0.26,0.74"))
    with pytest.raises(ValueError, match="source_sha256"):
        write_tfrecords(open_source(f"folder:{folder}"), str(output), image_size=8, num_shards=2)


def test_selections_and_renamed_classes_keep_the_weights(folder):
    source = open_source(f"folder:{folder}")
    np.testing.assert_array_equal(
        source.select(np.array([4, 1])).soft_labels, source.soft_labels[[4, 1]]
    )
    turned = source.with_classes(("cow", "bee", "ant"), (2, 1))
    np.testing.assert_array_equal(turned.soft_labels[:, [2, 1]], source.soft_labels)
    assert not turned.soft_labels[:, 0].any()
    assert turned.labels.tolist() == [2, 2, 1, 1, 1, 1]
    division = divide(source, 0.5, 0)
    assert division.training.num_images + division.held_out.num_images == 6
    for part in (division.training, division.held_out):
        for index, weights in enumerate(part.soft_labels):
            whole = [source.locate(i) for i in range(6)].index(part.locate(index))
            np.testing.assert_array_equal(weights, source.soft_labels[whole])


def test_other_weights_are_other_data(folder, own_folder):
    first = DataIdentity.of(open_source(f"folder:{folder}"))
    assert first == DataIdentity.of(open_source(f"folder:{folder}"))
    (folder / "soft_labels.csv").write_text(TABLE.replace("0.25,0.75", "0.26,0.74"))
    changed = DataIdentity.of(open_source(f"folder:{folder}"))
    assert first.images_per_class == changed.images_per_class == (2, 4)
    assert "but names, sizes, soft labels" in first.differences(changed, ("ant", "bee"))


def test_models_that_do_not_fit_are_refused(folder):
    source = open_source(f"folder:{folder}")
    check_labels(source, 2)
    check_labels(source, 0)
    with pytest.raises(ValueError, match=r"each of 2 classes.*num_classes=3"):
        check_labels(source, 3)
    source._set_labels(np.full((6, 2), [0.75, 0.25]))
    with pytest.raises(ValueError, match=r"same label.*only_label=\[0.75, 0.25\]"):
        check_labels(source, 2)
