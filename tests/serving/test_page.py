"""The web page in a headless Chromium."""

import asyncio

import pytest

from tests.serving.browser import find_chromium, open_tab
from tests.serving.client import predict
from tests.serving.conftest import running_server

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="needs a Chromium to use the page")

PICTURE = "document.getElementById('picture').src"
IDLE = "!document.body.classList.contains('busy')"
DRAWN = f"document.querySelectorAll('#strip img').length === 6 && {IDLE}"
# Width / height of the frame and of the buttons of the strip.
SHAPES = """[...document.querySelectorAll('.frame, #strip button')].map(
  box => box.offsetWidth / box.offsetHeight)"""
STRIP = "[...document.querySelectorAll('#strip img')].map(image => image.src)"


def api_pictures(server, rows, model="birds"):
    """Returns the pictures of the REST API as the data URLs that the page uses."""
    _, answer = predict(server, rows, "generate_png", model=model)
    return [f"data:image/png;base64,{picture['b64']}" for picture in answer["predictions"]]


async def settled_picture(tab, status):
    """Waits until the status begins with a text and all is drawn, and returns the picture."""
    words = f"document.getElementById('status').textContent.startsWith({status!r})"
    await tab.until(f"{words} && {DRAWN}")
    return await tab.evaluate(PICTURE)


def test_class_truncation_and_seed_change_the_picture_to_what_the_api_gives(server):
    async def use():
        async with open_tab(f"{server}/") as tab:
            seen = [await settled_picture(tab, "Robin, seed 0, truncation 0.5")]
            await tab.fill("class", "daisy (4)")
            seen.append(await settled_picture(tab, "Daisy, seed 0, truncation 0.5"))
            await tab.fill("truncation", "0.9")
            seen.append(await settled_picture(tab, "Daisy, seed 0, truncation 0.9"))
            await tab.evaluate("document.querySelectorAll('#strip button')[2].click()")
            seen.append(await settled_picture(tab, "Daisy, seed 3, truncation 0.9"))
            strip = await tab.evaluate(STRIP)
            await tab.fill("class", "SORREL HORSE")
            seen.append(await settled_picture(tab, "Sorrel horse, seed 3"))
            size = await tab.evaluate("document.getElementById('picture').naturalWidth")
            download = await tab.evaluate("document.getElementById('download').href")
            return seen, strip, size, download, tab.problems

    seen, strip, size, download, problems = asyncio.run(use())
    rows = [(0, 0, 0.5), (4, 0, 0.5), (4, 0, 0.9), (4, 3, 0.9), (1, 3, 0.9)]
    rows = [dict(zip(("label", "seed", "truncation"), row, strict=True)) for row in rows]
    assert seen == api_pictures(server, rows)
    assert len(set(seen)) == len(seen)
    assert strip == api_pictures(server, [{**rows[3], "seed": 4 + n} for n in range(6)])
    assert size == 16 and download == seen[-1]
    assert not problems


def test_wrong_entries_are_told_and_the_new_button_draws(server):
    async def use():
        async with open_tab(f"{server}/") as tab:
            await settled_picture(tab, "Robin, seed 0")
            told = []
            for element, value in (("class", "unicorn"), ("class", "99"), ("seed", "-3")):
                await tab.fill(element, value)
                await tab.until("document.querySelector('#status.wrong') !== null")
                told.append(await tab.evaluate("document.getElementById('status').textContent"))
                await tab.fill(element, "0")
                await settled_picture(tab, "Robin, seed 0")
            await tab.evaluate("document.getElementById('new-seed').click()")
            await tab.until("document.getElementById('seed').value !== '0'")
            seed = int(await tab.evaluate("document.getElementById('seed').value"))
            return told, seed, await settled_picture(tab, f"Robin, seed {seed},")

    told, seed, picture = asyncio.run(use())
    assert told == [
        "There is no such class.",
        "`label` must be from 0 to 4.",
        "The seed must be a whole number from 0.",
    ]
    assert [picture] == api_pictures(server, [{"label": 0, "seed": seed, "truncation": 0.5}])


def test_a_model_without_classes_has_no_class_control(textures):
    async def use(url):
        async with open_tab(f"{url}/") as tab:
            picture = await settled_picture(tab, "Seed 0, truncation 0.5")
            hidden = "document.getElementById('class').offsetParent === null"
            return picture, await tab.evaluate(hidden), await tab.evaluate(SHAPES)

    with running_server(textures) as url:
        picture, is_hidden, shapes = asyncio.run(use(url))
        assert is_hidden
        # The images have 16x24 pixels. Neither the picture nor the strip is padded or cut.
        assert len(shapes) == 7 and shapes == pytest.approx([24 / 16] * 7, abs=0.02)
        assert [picture] == api_pictures(url, [{"seed": 0, "truncation": 0.5}], "textures")


def test_every_control_has_a_label(server):
    async def use():
        async with open_tab(f"{server}/") as tab:
            await settled_picture(tab, "Robin")
            return await tab.evaluate(
                "[...document.querySelectorAll('input, select')].every(e => e.labels.length > 0)"
            )

    assert asyncio.run(use())
