"""The evaluate command: opens the images and the reference, computes scores, writes the files."""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.evaluate_settings import OTHER_IMAGES, EvaluateConfig
from tf_biggan.cli.image_sizes import height_and_width
from tf_biggan.data.source import Source
from tf_biggan.devices.strategy import (
    create_strategy,
    is_chief,
    naming_lost_processes,
    require_tensorflow,
)
from tf_biggan.evaluation import score_files
from tf_biggan.evaluation.comparison import (
    Comparison,
    cache_of,
    label_counts_for_model,
    notes_on_classes,
    open_real_images,
    soft_labels_for_model,
)
from tf_biggan.evaluation.evaluator import Evaluator, Scores, read_statistics
from tf_biggan.evaluation.features.generated_images import GeneratedImages, Sampling
from tf_biggan.evaluation.features.image_sets import ImageSet, PilResized, SourceImages, open_images
from tf_biggan.evaluation.inception.extractor import NoWeightsError
from tf_biggan.evaluation.inception.inception_network import INPUT_SIZE
from tf_biggan.evaluation.metrics import ReferenceFeatures, score_name
from tf_biggan.evaluation.protocol import Protocol, get_protocol
from tf_biggan.evaluation.requirements import (
    EvaluationPlan,
    ImagesSummary,
    Selection,
    computable,
    expected_extractor,
    select,
    summarize_images,
)
from tf_biggan.evaluation.truncation_curve import Curve, Point
from tf_biggan.files import file_system
from tf_biggan.store.opened_model import OpenedModel, open_model
from tf_biggan.store.run_directory import is_run

SCORES_FILE = "scores.json"


@dataclasses.dataclass(frozen=True)
class _Compared:
    """What is compared: the images of a model or a given set of images, and the reference.

    Attributes:
      strategy: Distribution strategy of the model and the extractors.
      opened: The model; None if the images are given.
      given: The given images; None if a model generates them.
      comparison: The reference and its extractors.
    """

    strategy: tf.distribute.Strategy
    opened: OpenedModel | None
    given: ImageSet | None
    comparison: Comparison


def evaluate(config: EvaluateConfig) -> Scores:
    """Computes the scores that the settings ask for, prints a table and writes the files.

    Returns:
      The scores. For a truncation curve, these are the scores without truncation.

    Raises:
      ValueError: something is missing, damaged or does not fit, or no metric can be computed. In
        these cases, no file is written.
    """
    require_tensorflow("evaluation")
    output = _output(config)
    protocol = get_protocol(config.protocol)
    selected = select(config, protocol)
    strategy = create_strategy(config.strategy, config.tpu, config.cpu_replicas)
    with naming_lost_processes(strategy):
        compared = _open(config, protocol, strategy)
        return _scores(config, protocol, selected, compared, output)


def _scores(
    config: EvaluateConfig,
    protocol: Protocol,
    selected: Selection,
    compared: _Compared,
    output: str | None,
) -> Scores:
    """Computes the scores in all processes; one process prints them and writes the files."""
    chief = is_chief(compared.strategy)
    truncations = config.truncations()
    images = _images(config, protocol, selected, compared, truncations[0])

    evaluators, left_out = _evaluators(config, protocol, selected, compared.comparison, images)
    notes = [f"No {', '.join(names)}: {why}." for why, names in left_out.items()]
    saves = config.save_statistics is not None
    if not evaluators or (saves and selected.primary not in evaluators):
        raise ValueError(" ".join(notes))
    is_curve = len(truncations) > 1
    names = _names_of_curve(config, evaluators.get(selected.primary)) if is_curve else None
    for note in notes if chief else ():
        print(f"Note: {note}", flush=True)

    references = {
        kind: _reference(config, evaluator, compared.comparison, images)
        for kind, (evaluator, _) in evaluators.items()
    }
    points = []
    for truncation in (*truncations, None) if is_curve else truncations:
        images = _images(config, protocol, selected, compared, truncation)
        scores = Scores(notes=list(notes))
        for kind, (evaluator, metrics) in evaluators.items():
            for variant, some in _resized_for(protocol, images, metrics):
                scores.join(evaluator.scores(variant, references[kind], some))
        scores.notes += _notes_on_images(config, protocol, compared, images)
        points.append(Point(truncation, scores.values))
    if not chief:
        return scores

    if saves:
        evaluator, _ = evaluators[selected.primary]
        evaluator.save_statistics(config.save_statistics, references[selected.primary])
    curve = None
    if is_curve:
        valid = config.valid_score
        if names and valid is None and references[selected.primary].features is not None:
            evaluator, _ = evaluators[selected.primary]
            valid = evaluator.inception_score_of(references[selected.primary])
        curve = Curve(points, names, valid, config.truncation_mode)
    how = {
        "name": protocol.name,
        "choices": protocol.description(),
        "replicas": compared.strategy.num_replicas_in_sync,
        "batch_size": config.batch_size,
    }
    title = score_files.title(scores, config.model or config.images)
    table = score_files.table(scores, protocol.decimals) if curve is None else curve.table()
    print(title, *table, *(f"Note: {note}" for note in scores.notes), sep="\n")
    if output:
        print(*score_files.write_scores(output, scores, how, title, curve), sep="\n")
    return scores


def _output(config: EvaluateConfig) -> str | None:
    """Returns the path of the JSON file, checked before the work begins; None for no file."""
    output = config.output
    if output is None and config.model is not None and is_run(config.model):
        output = os.path.join(config.model, SCORES_FILE)
    checks.require(
        output is None or not file_system.isdir(output),
        "`output` must be a file, not a folder",
        output=output,
    )
    return output


def _open(
    config: EvaluateConfig, protocol: Protocol, strategy: tf.distribute.Strategy
) -> _Compared:
    """Opens the model or the given images, and a reference that is resized like these images."""
    opened = given = None
    if config.model is not None:
        with strategy.scope():
            opened = open_model(config.model, raw=config.raw, iteration=config.iteration)
        image_shape = (*opened.generator.image_size, opened.generator.image_channels)
    else:
        size = None if config.resolution is None else height_and_width(config.resolution)
        given = open_images(config.images, size, config.image_channels, config.num_images)
        image_shape = given.image_shape
    comparison = _open_comparison(
        config, strategy, image_shape, protocol.reference_split, protocol.bias
    )
    return _Compared(strategy, opened, given, comparison)


def _images(
    config: EvaluateConfig,
    protocol: Protocol,
    selected: Selection,
    compared: _Compared,
    truncation: float | None,
) -> ImageSet:
    """Returns the given images, or those that the model generates at a truncation."""
    if compared.opened is None:
        return compared.given
    opened, label_counts = compared.opened, None
    label_sampling = config.label_sampling or protocol.label_sampling
    source, classes = compared.comparison.source, opened.generator.num_classes
    soft_labels = soft_labels_for_model(source, opened.class_names, classes)
    if label_sampling == "data" and soft_labels is None:
        label_counts = label_counts_for_model(source, opened.class_names)
    sampling = Sampling(
        config.num_images or (protocol.num_images if selected.has_inception else OTHER_IMAGES),
        config.seed,
        truncation,
        config.truncation_mode,
        config.bn,
        label_sampling,
    )
    return GeneratedImages(
        opened.generator,
        sampling,
        compared.strategy,
        config.batch_size,
        opened.description,
        opened.class_names,
        label_counts,
        soft_labels,
    )


def _evaluators(
    config: EvaluateConfig,
    protocol: Protocol,
    selected: Selection,
    comparison: Comparison,
    images: ImageSet,
) -> tuple[dict[str, tuple[Evaluator, tuple[str, ...]]], dict[str, list[str]]]:
    """Opens the extractors that compute metrics.

    Returns:
      A tuple of two mappings. The first maps each extractor to its evaluator and metrics. The
      second maps each reason to the metrics that cannot be computed for this reason.
    """
    count_flag = "--num_images" if config.images is None else "--images"
    found, left_out = {}, {}
    for kind, asked in selected.by_extractor.items():
        plan = EvaluationPlan(
            summarize_images(images, count_flag),
            _reference_summary(config, comparison),
            expected_extractor(kind, comparison.classifier_images()),
            protocol,
        )
        names, reasons = computable(plan, asked)
        if names:
            try:
                evaluator = Evaluator(comparison.extraction(kind), protocol, config.bootstrap)
                summary = evaluator.extractor_summary(images.image_shape)
                # The number of features is known now.
                names, more = computable(dataclasses.replace(plan, extractor=summary), names)
            except NoWeightsError as error:
                names, more = (), dict.fromkeys(names, str(error).removesuffix("."))
            reasons = reasons | more
        if names:
            found[kind] = evaluator, names
        for name, reason in reasons.items():
            left_out.setdefault(reason, []).append(selected.asked_as(kind, name))
    return found, left_out


def _reference_summary(config: EvaluateConfig, comparison: Comparison) -> ImagesSummary:
    if comparison.real_images is not None:
        flag = "--reference" if config.reference_images is None else "--reference_images"
        return summarize_images(comparison.real_images, flag)
    _, stored = read_statistics(config.reference)
    return ImagesSummary(stored.get("count"), None, (), False, "--reference")


def _reference(
    config: EvaluateConfig, evaluator: Evaluator, comparison: Comparison, images: ImageSet
) -> ReferenceFeatures:
    """Returns the reference's features by one extractor, or their statistics from a file."""
    if comparison.real_images is None:
        return evaluator.reference_from_file(config.reference, images)
    return evaluator.reference(comparison.real_images)


def _names_of_curve(
    config: EvaluateConfig, primary: tuple[Evaluator, tuple[str, ...]] | None
) -> tuple[str, str] | None:
    """Returns the names of FID and IS, the axes of a truncation curve; None if one is missing."""
    names = None
    if primary is not None and {"fid", "is"} <= set(primary[1]):
        prefix = primary[0].extractor.prefix
        names = score_name(prefix, "fid"), score_name(prefix, "is")
    checks.require(
        names is not None or config.valid_score is None,
        "`valid_score` needs the metrics 'fid' and 'is'; add both, or leave `valid_score` out",
        valid_score=config.valid_score,
        metrics=config.metrics,
    )
    return names


def _notes_on_images(
    config: EvaluateConfig, protocol: Protocol, compared: _Compared, images: ImageSet
) -> list[str]:
    """Returns notes on files that were left out, on soft labels and on classes that differ."""
    sets, opened = (images, compared.comparison.real_images), compared.opened
    notes = list(dict.fromkeys(note for images in sets if images for note in images.notes))
    if opened is not None:
        notes += notes_on_classes(
            compared.comparison.source,
            opened.class_names,
            opened.generator.num_classes,
            config.label_sampling or protocol.label_sampling,
        )
    return notes


def _resized_for(
    protocol: Protocol, images: ImageSet, names: tuple[str, ...]
) -> list[tuple[ImageSet, tuple[str, ...]]]:
    """Returns pairs: images, resized as the protocol asks, and the metrics to compute from them."""
    if protocol.is_resize == "tf1" or "is" not in names:
        return [(images, names)]
    others = tuple(name for name in names if name != "is")
    resized = (PilResized(images, INPUT_SIZE), ("is",))
    return [resized, (images, others)] if others else [resized]


def _open_comparison(
    config: EvaluateConfig, strategy, image_shape, tfds_split: str | None, bias: bool
) -> Comparison:
    """Opens the reference at the size of the images, unless it is a file of statistics."""
    source: Source | None = None
    real_images = None
    if config.reference is None or not config.reference.endswith(".npz"):
        source = open_real_images(
            config.reference,
            config.reference_split,
            config.data_dir,
            config.download,
            config.model,
            tfds_split,
        )
        height, width, channels = image_shape
        real_images = SourceImages(source, (height, width), channels, config.reference_images)
    else:
        file_system.require_existing("reference", config.reference, "a file of statistics")
    return Comparison(
        strategy,
        source,
        real_images,
        cache_of(config.feature_cache),
        config.batch_size,
        config.layer,
        config.inception_weights,
        bias,
    )
