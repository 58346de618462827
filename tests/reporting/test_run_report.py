"""The report of made-up runs: what it shows, what it escapes, how large it is."""

from __future__ import annotations

import asyncio
import html.parser
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from tests.reporting.made_up_runs import losses, write_best, write_log, write_run, write_sheets
from tests.serving.browser import find_chromium, open_tab
from tf_biggan.cli.report_settings import ReportConfig
from tf_biggan.pictures.sheets_and_animations import cells, sheet
from tf_biggan.reporting import report_pictures
from tf_biggan.reporting.report_pictures import evenly_chosen, picture_of_file
from tf_biggan.reporting.run_record import read_run
from tf_biggan.reporting.run_report import report, report_after_training
from tf_biggan.reporting.warning_signs import warning_signs

OLD_RUN = pathlib.Path(__file__).parents[1] / "version_0_1" / "run"
TEN_MEGABYTES = 10_000_000
# Elements without an end.
VOID = {"meta", "img", "br"}
FEW = {"iteration": 20, "g_loss": 0.5}


class Page(html.parser.HTMLParser):
    """Texts, elements and links of a page; fails if an element is not closed."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], set(), [], ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def reported(tmp_path, *runs) -> Page:
    output = tmp_path / "page.html"
    report(ReportConfig(run_dir=",".join(runs), output=str(output)))
    return Page(output)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 20 iterations with scores, sheets and a best checkpoint."""
    path = tmp_path_factory.mktemp("runs") / "a"
    entries = [losses(iteration) for iteration in range(1, 21)]
    entries += [
        {"iteration": i, "classifier_fid": f, "scored_as": "x"} for i, f in ((10, 2), (20, 3))
    ]
    write_run(path, entries, ema_start=5)
    write_sheets(path, (10, 20))
    write_best(path, "classifier_fid", 10)
    start = {"iteration": 0, "date": "2026-01-02", "machine": {"cpu": "Tiny"}, "devices": ["CPU:0"]}
    (path / "environment.jsonl").write_text(json.dumps(start) + '\n{"iter')
    return str(path)


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return reported(tmp_path_factory.mktemp("page"), run)


def test_the_page_shows_the_run_and_needs_nothing_else(run, page):
    for text in (
        *("complete, 20 iterations", "10 s", "1,280", "128", "--ema_start", "1,797", "Tiny"),
        *(f"{run}/best-classifier_fid", "classifier_fid", "iteration 10", "iteration 20"),
        "classifier_fid was 2 at iteration 10 and is 3 now.",
    ):
        assert text in page.text
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    # Real images, two sheets, nearest images.
    assert sum(link.startswith("data:image/png") for link in page.links) == 4
    assert "script" not in page.tags and "svg" in page.tags


def test_samples_that_are_copies_are_found(page):
    """The sheets show real images, so the nearest real image is at distance 0."""
    assert "The median distance to the nearest real image is 0 from these samples" in page.text
    assert re.search(r"and [1-9][\d.]* from real images", page.text)


def test_images_come_back_from_a_sheet():
    for size, channels, count in (((32, 32), 1, 20), ((8, 16), 3, 10), ((64, 64), 3, 20)):
        pixels = np.random.default_rng(0).integers(0, 256, (count, *size, channels), np.uint8)
        for labels in (None, ["a", "longer"][: count // 10]):
            np.testing.assert_array_equal(cells(sheet(pixels, 10, labels), 10, size), pixels)
    with pytest.raises(ValueError, match="10 columns of images of 24x24"):
        cells(sheet(pixels, 10), 10, (24, 24))


def test_runs_side_by_side(tmp_path):
    first = write_run(tmp_path / "runs" / "a", [FEW], ema_start=5)
    other = write_run(tmp_path / "runs" / "b", [FEW], g_learning_rate=0.125)
    page = reported(tmp_path, first, other)
    assert "a, b" in page.text and "0.125" in page.text and "0.0002" in page.text
    source = (tmp_path / "page.html").read_text()
    differing = re.findall(r'class="differs"><th[^>]*>([^<]*)<', source)
    assert set(differing) == {"--g_learning_rate", "--ema_start"}


def test_texts_of_files_are_escaped(tmp_path):
    """Every text that a file may hold closes elements and runs a script, if it is not escaped."""
    hostile = "</td></style><script>alert('x')</script><img src=x onerror=alert(1)>&amp;"
    path = tmp_path / "runs" / hostile.replace("/", "\\")
    entry = FEW | {hostile: 1.0, f"sigma/generator/{hostile}": 2.0}
    settings = dict(dataset=f"folder:{hostile}", init_from=hostile)
    write_run(path, [entry], [hostile] * 10, **settings)
    start = {"iteration": hostile, "date": hostile, "machine": {hostile: hostile}}
    start |= {"devices": [hostile], "versions": {hostile: hostile}}
    (path / "environment.jsonl").write_text(json.dumps(start) + "\n")
    (path / "initialization.json").write_text(json.dumps({"source": {"path": hostile}}))
    page = reported(tmp_path, str(path))
    assert "script" not in page.tags and page.text.count(hostile) > 8
    assert all(link.startswith(("data:image/", "#")) for link in page.links)


@pytest.mark.slow
def test_a_hundred_thousand_lines_make_a_small_page(tmp_path):
    run = write_run(tmp_path / "runs" / "a", [])
    write_sheets(tmp_path / "runs" / "a", range(10))
    rows = np.random.default_rng(0).normal(size=(100_000, 2)).tolist()
    entries = [losses(i, g_loss=row[0], d_real=row[1]) for i, row in enumerate(rows, 1)]
    entries[54_321]["g_loss"] = 777.0
    layers = [f"sigma/{net}/{i}" for net in ("generator", "discriminator") for i in range(60)]
    entries += [{"iteration": i, **dict.fromkeys(layers, 1.0)} for i in range(1, 1000)]
    write_log(tmp_path / "runs" / "a", entries)
    reported(tmp_path, run)
    assert (tmp_path / "page.html").stat().st_size < TEN_MEGABYTES / 2


def test_large_sheets_stay_within_their_limit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    picture = picture_of_file(str(path), "noise", 100_000)
    assert picture.url.startswith("data:image/jpeg") and len(picture.url) < 100_000 * 4 / 3 + 50
    assert 0.99 < picture.width / picture.height * 7 / 9 < 1.01
    assert picture_of_file(str(path), "noise", 10**7).url.startswith("data:image/png")
    path.write_bytes(path.read_bytes()[:5000])
    assert "cannot be read" in picture_of_file(str(path), "noise", 10**7).caption
    sheets = {i: str(i) for i in range(1, 101)}
    assert list(evenly_chosen(sheets, 4)) == [1, 34, 67, 100]
    assert evenly_chosen({5: "a"}, 4) == {5: "a"}


@pytest.mark.parametrize(
    ("entries", "settings", "sentence"),
    [
        ([losses(20, g_loss=None)], {}, "g_loss was not finite at iteration 20."),
        ([losses(7)], {}, "The run is at iteration 7 of 20."),
        ([losses(20)], dict(ema_start=30), "starts at iteration 30, which the run has not"),
        ([losses(20, d_loss_real=0.0, d_loss_fake=0.01)], {}, "loss is almost 0 in the last tenth"),
        (
            [losses(i, images_per_second=100 if i < 19 else 10) for i in range(1, 21)],
            {},
            "Throughput fell: 10 images/s in the last tenth of the log, and 100",
        ),
        (
            [{"iteration": 5 * i, "sigma/generator/x": s} for i, s in enumerate((1, 3, 4, 9), 1)],
            {},
            "value of generator/x rose from 4 to 9 between iterations 15 and 20.",
        ),
        (
            [losses(20), *({"iteration": 20, "fid": 1.0, "scored_as": key} for key in "ab")],
            {},
            "Scores were measured in 2 ways",
        ),
    ],
)
def test_warning_signs(entries, settings, sentence, tmp_path):
    path = write_run(tmp_path / "a", entries, **settings)
    (sign,) = warning_signs(read_run(path))
    assert sentence in sign


def test_what_the_watchdog_reported_is_shown_first(tmp_path):
    reported = [
        {"iteration": i, "collapse_sign": "x", "collapse_warning": f"Sign {i}."} for i in range(9)
    ]
    entries = [losses(20, d_loss_real=0.0, d_loss_fake=0.0), *reported]
    entries.append({"iteration": 12, "rollback": "Rollback at iteration 11."})
    few = write_run(tmp_path / "a", [*entries[:2], entries[-1]])
    assert warning_signs(read_run(few))[:2] == [
        "At iteration 0: Sign 0.",
        "At iteration 12: Rollback at iteration 11.",
    ]
    many = warning_signs(read_run(write_run(tmp_path / "b", entries)))
    assert "10 signs of collapse or rollbacks" in many[0]
    assert many[1] == "At iteration 2: Sign 2." and "almost 0 in the last tenth" in many[9]


def test_a_healthy_run_has_no_warning(tmp_path):
    path = write_run(tmp_path / "a", [losses(i) for i in range(1, 21)])
    assert warning_signs(read_run(path)) == []


def test_the_reason_why_nothing_was_searched(run, monkeypatch):
    monkeypatch.setattr(report_pictures, "MOST_PIXELS", 1000)
    picture = report_pictures.nearest_reals(read_run(run), 10**6)
    assert picture.url is None and "The data set has 1,797 images." in picture.caption
    command = f"python -m tf_biggan.neighbours --model={run} --output={run}/neighbours.png"
    assert command in picture.caption


def test_a_folder_of_version_0_1_has_a_report(tmp_path):
    text = reported(tmp_path, str(OLD_RUN)).text
    assert "The run has no sheets of samples." in text and "did not record its machine" in text


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="needs a Chromium to open the page")
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_the_page_without_a_problem(run, width, tmp_path):
    """Nothing is blocked or wider than the window."""

    async def opened():
        async with open_tab(f"file://{tmp_path}/page.html") as tab:
            await tab.screenshot(tmp_path / "page.png", width, 900)
            return tab.problems, await tab.evaluate("document.documentElement.scrollWidth")

    reported(tmp_path, run)
    problems, needed = asyncio.run(opened())
    assert problems == [] and needed <= width


def test_bad_input_is_refused_and_leaves_nothing(run, tmp_path):
    output = tmp_path / "reports" / "out.html"
    for path, message in (("nowhere", "does not exist"), (str(tmp_path), "config.json")):
        with pytest.raises(ValueError, match=message):
            report(ReportConfig(run_dir=f"{run},{path}", output=str(output)))
    for settings in (
        dict(run_dir="a", output="x.pdf"),
        dict(run_dir="a,a"),
        dict(run_dir="a,,b"),
        dict(run_dir=",".join("abcdefghi")),
    ):
        with pytest.raises(ValueError, match=r"Received"):
            ReportConfig(**settings)
    assert not output.exists()
    assert ReportConfig(run_dir="a").output_path() == "a/report.html"
    assert ReportConfig(run_dir="a, b").output_path() == "report.html"


def test_training_ends_well_without_a_report(tmp_path, capsys):
    run = write_run(tmp_path / "a,b", [FEW])
    report_after_training(run)
    assert (tmp_path / "a,b" / "report.html").exists()
    assert capsys.readouterr().out.endswith(f"Report: {run}/report.html\n")
    (tmp_path / "a,b" / "data.json").write_text("[]")
    report_after_training(run)
    assert capsys.readouterr().err.startswith("No report was written: Cannot read")
