"""Batches: exact resuming, shards, epochs, flips and range, with and without the cache."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.data import order, record_source
from tf_biggan.data import source as source_module
from tf_biggan.data.decoding import naming_unreadable
from tf_biggan.data.order import Blocks
from tf_biggan.data.pipeline import distribute, make_dataset, part_of_replica
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import Source
from tf_biggan.data.tfrecord_writer import write_tfrecords

BATCH = 6


class InMemory(Source):
    """A data source with the pixels of the image folder in memory, for speed."""

    def __init__(self, pixels):
        super().__init__("memory", ("ant", "bee", "cow"), np.arange(len(pixels)) // 7)
        self.pixels = tf.constant(pixels)

    def load(self, index, channels):
        return self.pixels[index][..., :channels]

    def locate(self, index):
        return str(index)


@pytest.fixture(scope="module")
def source(folder_pixels):
    return InMemory(folder_pixels)


def batches(source, count, **overrides):
    arguments = dict(image_size=12, image_channels=3, batch_size=BATCH, seed=3, flip=True)
    dataset = make_dataset(source, **{**arguments, **overrides})
    drawn = list(itertools.islice(dataset.as_numpy_iterator(), count))
    return np.stack([x for x, _ in drawn]), np.stack([y for _, y in drawn])


@pytest.fixture(scope="module")
def records(image_folder, tmp_path_factory):
    """The images of the folder as records in two files."""
    output = str(tmp_path_factory.mktemp("records"))
    write_tfrecords(open_source(f"folder:{image_folder}"), output, image_size=12, num_shards=2)
    return open_source(f"tfrecord:{output}")


@pytest.fixture
def small_blocks(monkeypatch):
    """Three windows of two blocks in place of one of 1,024, so that there are several."""
    division = Blocks(windows=3, strata=2, lanes=2)
    monkeypatch.setattr(Blocks, "of_records", lambda num_images, record_bytes: division)


def indices_of(drawn, folder_pixels):
    """Returns the index in the folder of each image of an unflipped batch."""
    known = {pixels.tobytes(): index for index, pixels in enumerate(folder_pixels)}
    levels = np.round((drawn.astype(np.float64) + 1) * 127.5).astype(np.uint8)
    return np.array([known[image.tobytes()] for image in levels.reshape(-1, *levels.shape[2:])])


def assert_equal(first, second):
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("cache", [True, False])
def test_batches_have_the_promised_form(source, cache):
    dataset = make_dataset(
        source, image_size=(8, 16), image_channels=1, batch_size=4, seed=0, cache=cache
    )
    images, labels = dataset.element_spec
    assert (images.shape, images.dtype.name) == ((4, 8, 16, 1), "float32")
    assert (labels.shape, labels.dtype.name) == ((4,), "int32")
    # Otherwise, strategies of several hosts make the batch size unknown to the training step.
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    drawn, _ = next(dataset.as_numpy_iterator())
    assert drawn.min() >= -1 and drawn.max() <= 1 and drawn.std() > 0.1


@pytest.mark.parametrize("cache", [True, False])
def test_values_are_those_of_the_files(image_folder, folder_pixels, cache):
    images, labels = batches(open_source(f"folder:{image_folder}"), 20, flip=False, cache=cache)
    found = indices_of(images, folder_pixels)
    expected = folder_pixels[found].reshape(images.shape).astype(np.float32) / 127.5 - 1
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels.ravel(), found // 7)


def test_every_image_once_an_epoch_and_epochs_differ(source, folder_pixels):
    # With 21 images in batches of 6, two epochs end after 7 batches, and one batch spans both.
    images, _ = batches(source, 7, flip=False)
    first, second = indices_of(images, folder_pixels).reshape(2, 21)
    np.testing.assert_array_equal(np.sort(first), np.arange(21))
    np.testing.assert_array_equal(np.sort(second), np.arange(21))
    assert (first != second).any()


@pytest.mark.parametrize(("cache", "start"), [(True, 1), (True, 9), (False, 4)])
def test_resumed_batches_are_those_of_the_whole_run(source, cache, start):
    images, labels = batches(source, 12, cache=cache)
    resumed = batches(source, 12 - start, cache=cache, start_batch=start)
    assert_equal(resumed, (images[start:], labels[start:]))


def test_resuming_does_not_read_what_is_skipped(own_folder, monkeypatch):
    # With more images, one call would also load images of the next epoch.
    monkeypatch.setattr(source_module, "LOADED_TOGETHER", 3)
    source = open_source(f"folder:{own_folder}")
    whole, _ = batches(source, 2, batch_size=3, cache=False)
    first = indices_of(batches(source, 1, batch_size=3, flip=False)[0], load_pixels(own_folder))
    for index in first:
        (own_folder / ("ant", "bee")[index // 3] / f"{index % 3}.png").write_bytes(b"damaged")
    resumed, _ = batches(source, 1, batch_size=3, cache=False, start_batch=1)
    np.testing.assert_array_equal(resumed[0], whole[1])


def load_pixels(folder):
    drawn = open_source(f"folder:{folder}")
    return np.stack([drawn.load(index, 3).numpy() for index in range(drawn.num_images)])


def test_cached_and_stored_batches_are_equal(source):
    assert_equal(batches(source, 9, cache=True), batches(source, 9, cache=False))


def test_blocks_from_storage_are_those_of_memory(records, small_blocks, folder_pixels):
    arguments = dict(data_order="blocks", batch_size=6, flip=False)
    images, labels = batches(records, 12, cache=True, **arguments)
    assert_equal(batches(records, 12, cache=False, **arguments), (images, labels))
    resumed_host = dict(start_batch=7, shard_index=1, num_shards=2)
    part = batches(records, 5, cache=False, **resumed_host, **arguments)
    assert_equal(part, (images[7:, 1::2], labels[7:, 1::2]))
    found = indices_of(images[:7], folder_pixels)
    for epoch in found.reshape(2, 21):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(21))
    np.testing.assert_array_equal(labels[:7].ravel(), found // 7)


@pytest.mark.slow
def test_resuming_in_blocks_reads_no_earlier_window(
    image_folder, tmp_path, small_blocks, monkeypatch
):
    monkeypatch.setattr(record_source, "MAX_GAP", 1)
    write_tfrecords(open_source(f"folder:{image_folder}"), str(tmp_path), image_size=12)
    source = open_source(f"tfrecord:{tmp_path}")
    arguments = dict(data_order="blocks", batch_size=7, cache=False, flip=False)
    whole, _ = batches(source, 2, **arguments)
    shuffled, _, bounds = order.epoch_order(21, 3, tf.constant(0, tf.int64), Blocks(3, 2, 2))
    assert bounds[1] == 7
    (shard,) = tmp_path.glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    for image in shuffled[:7].numpy():
        content[source._index.offsets[image] + 40] ^= 255
    shard.write_bytes(content)
    resumed, _ = batches(source, 1, start_batch=1, **arguments)
    np.testing.assert_array_equal(resumed[0], whole[1])
    with pytest.raises(ValueError, match=r"tfrecord at byte \d+ or after"), naming_unreadable():
        batches(source, 1, **arguments)


def test_blocks_need_records(source):
    with pytest.raises(ValueError, match="--data_order=blocks must be used with records"):
        batches(source, 1, data_order="blocks")


@pytest.mark.parametrize(("cache", "num_shards"), [(True, 3), (False, 2)])
def test_shards_share_the_global_batches(source, num_shards, cache):
    whole, labels = batches(source, 8, cache=cache, start_batch=1)
    for shard in range(num_shards):
        part = batches(
            source, 8, cache=cache, start_batch=1, shard_index=shard, num_shards=num_shards
        )
        assert_equal(part, (whole[:, shard::num_shards], labels[:, shard::num_shards]))


def test_replicas_share_the_global_batches(source):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    arguments = dict(image_size=12, image_channels=3, seed=3, flip=True, start_batch=2)
    distributed = distribute(strategy, source, batch_size=BATCH, **arguments)
    whole, _ = batches(source, 5, start_batch=2)
    for expected, (images, _) in zip(whole, distributed, strict=False):
        parts = strategy.experimental_local_results(images)
        assert [part.shape[0] for part in parts] == [3, 3]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_two_hosts_of_two_replicas_share_the_global_batches(source):
    class TwoHosts:
        num_replicas_in_sync = 4

        def distribute_datasets_from_function(self, of_host):
            return [of_host(tf.distribute.InputContext(2, host, 4)) for host in range(2)]

    arguments = dict(image_size=12, image_channels=3, seed=3, flip=True, start_batch=3)
    hosts = distribute(TwoHosts(), source, batch_size=8, **arguments)
    drawn = [next(iterator)[0] for iterator in map(iter, hosts) for iterator in [iterator] * 2]
    whole, _ = batches(source, 1, batch_size=8, start_batch=3)
    assert len({image.numpy().tobytes() for part in drawn for image in part}) == 8
    for replica, images in enumerate(drawn):
        np.testing.assert_array_equal(images, part_of_replica(whole[0], replica, 4, 2))


def test_a_batch_that_replicas_cannot_share_is_refused(source):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with pytest.raises(ValueError, match="number of replicas"):
        distribute(strategy, source, batch_size=5, image_size=12, image_channels=3, seed=0)


def test_the_order_does_not_depend_on_the_batch_size(source):
    small, _ = batches(source, 12, batch_size=3)
    large, _ = batches(source, 4, batch_size=9)
    np.testing.assert_array_equal(small.reshape(large.shape), large)


def test_flips_mirror_some_images_and_nothing_else(source):
    plain, labels = batches(source, 20, flip=False)
    flipped, same_labels = batches(source, 20, flip=True)
    np.testing.assert_array_equal(labels, same_labels)
    mirrored = (flipped == plain[:, :, :, ::-1]).all(axis=(2, 3, 4))
    unchanged = (flipped == plain).all(axis=(2, 3, 4))
    assert (mirrored ^ unchanged).all()
    # The expected number is 60 of 120, with a standard deviation of 5.5.
    assert 30 < mirrored.sum() < 90


def test_seeds_give_other_orders(source):
    assert (batches(source, 4, seed=1)[1] != batches(source, 4, seed=2)[1]).any()


def test_batches_may_be_larger_than_the_data_set(source, folder_pixels):
    images, _ = batches(source, 1, batch_size=50, flip=False)
    counts = np.bincount(indices_of(images, folder_pixels), minlength=21)
    assert set(counts) == {2, 3}


@pytest.mark.parametrize("cache", [True, False])
def test_a_damaged_image_is_named(own_folder, cache):
    damaged = own_folder / "bee" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:90])
    with pytest.raises(ValueError, match=r"bee/1\.png") as caught, naming_unreadable():
        batches(open_source(f"folder:{own_folder}"), 2, batch_size=6, cache=cache)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 7, "num_shards": 2},
        {"shard_index": 2, "num_shards": 2},
        {"seed": -1},
        {"start_batch": -1},
        {"image_channels": 5},
        {"image_size": 0},
    ],
    ids=lambda wrong: ",".join(wrong),
)
def test_wrong_arguments_are_refused(source, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        batches(source, 1, **wrong)


def constants_of(dataset) -> list:
    """Returns the tensors in a data set's graph, which travels to the host that reads it."""
    serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=tf.data.experimental.to_variant(dataset))
    graph = tf.compat.v1.GraphDef.FromString(serialized.numpy())
    nodes = itertools.chain(graph.node, *(f.node_def for f in graph.library.function))
    return [node.attr["value"].tensor for node in nodes if node.op == "Const"]


def shape_of(constant) -> tuple[int, ...]:
    return tuple(d.size for d in constant.tensor_shape.dim)


@pytest.mark.parametrize(
    # Offsets and numbers in the file (8 bytes each), files and labels (4 each). In blocks, what two
    # functions capture counts twice.
    ("data_order", "bytes_per_image"),
    [("full", 24), ("blocks", 36)],
)
def test_records_travel_to_other_hosts_as_paths_and_an_index(
    records, small_blocks, data_order, bytes_per_image
):
    arguments = dict(image_size=12, image_channels=3, batch_size=6, seed=3, data_order=data_order)
    constants = constants_of(make_dataset(records, cache=False, **arguments))
    of_images = [one for one in constants if shape_of(one)[:1] == (records.num_images,)]
    assert {shape_of(one) for one in of_images} == {(records.num_images,)}
    kinds = [tf.dtypes.as_dtype(one.dtype) for one in of_images]
    assert set(kinds) == {tf.int32, tf.int64}
    assert sum(kind.size for kind in kinds) == bytes_per_image
    # No other constant grows with the images: the paths, and the shapes that decoding asks for.
    others = [one.ByteSize() for one in constants if one not in of_images]
    assert max(others) < 1000
    (paths, *_) = (one for one in constants if shape_of(one) == (2,) and one.dtype == tf.string)
    paths = tf.io.parse_tensor(paths.SerializeToString(), tf.string)
    assert [path.decode() for path in paths.numpy()] == list(records._index.files)


def test_images_that_are_kept_in_memory_travel_to_other_hosts(source):
    arguments = dict(image_size=12, image_channels=3, batch_size=6, seed=3)
    assert (21, 12, 12, 3) in map(shape_of, constants_of(make_dataset(source, **arguments)))
