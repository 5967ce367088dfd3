"""explorer.html opened from disk in a real browser, beside what pandas and torch say of the same run."""

import io
import re
import shutil
from pathlib import Path
from urllib.parse import urlencode

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from browser import Watched
from explored import CATEGORY, CLASSES, NAMES, explored, name_of, objects_of
from gazetune import Run
from gazetune.attention.extract import read_maps
from gazetune.commands.settings import of_run
from gazetune.maps import densities, upsampled
from gazetune.metrics import METRICS
from gazetune.prepared import load_prepared
from gazetune.report.explorer import write_explorer
from gazetune.run import Run as RunOf
from gazetune.tables.rows import keyed

BEFORE, AFTER = "before", "after-s42"
PAIR = f"{AFTER}~{BEFORE}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(explored(tmp_path_factory.mktemp("explored")))


@pytest.fixture
def look(browser):
    """Opens a run's page with a state in its address; after the test there was no error and no other host."""
    seen = []

    def opened(run, width=1280, height=900, reopen=None, **state):
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        seen.append(Watched(page))
        page.goto(reopen or f"file://{run.path}/explorer.html" + (f"#{urlencode(state)}" if state else ""))
        page.wait_for_function("performance.getEntriesByName('fixations').length > 0")
        return seen[-1]

    yield opened
    for watched in seen:
        assert (watched.errors, watched.elsewhere) == ([], [])
        watched.page.context.close()


def listed(page):
    """The names in the list from top to bottom, as far as they are drawn."""
    rows = page.eval_on_selector_all(
        ".row", "rows => rows.map(r => [Number(r.dataset.place), r.querySelector('.label').textContent])"
    )
    return [name for _, name in sorted(rows)]


def by_gain(run):
    gains = run.table("gains").query("dataset == 'table' and first == @AFTER and second == @BEFORE")
    assert gains["gain"].nunique() == 8
    return gains.sort_values("gain", ascending=False, kind="stable")["image"].tolist()


def score(run, metric, key):
    part = keyed(run.table("scores/table")).query("key == @key").set_index("image")[metric]
    return part.sort_values(kind="stable")


def test_it_opens_on_the_image_with_the_largest_gain(run, look):
    watched = look(run)
    page, names = watched.page, by_gain(run)
    assert listed(page) == names and len(names) == 8
    assert page.inner_text("#name") == names[0]
    assert page.inner_text("#tag-left") == "human" and page.inner_text("#tag-right") == "after"
    assert watched.serious() == []
    whole = RunOf(run.path).images.query("dataset == 'table' and image == @names[0] and model == 'after'").iloc[0]
    cells = page.locator("#numbers tbody tr", has=page.get_by_role("rowheader", name="after", exact=True)).locator("td")
    assert cells.all_inner_texts()[1:] == [f"{whole[m]:.3f}" for m in ("cc", "kl", "entropy_bits")]


@pytest.mark.parametrize(
    ("kind", "of", "order", "key"),
    [("cc", AFTER, "up", AFTER), ("entropy_bits", "human", "down", "human"), ("kl", "mixed-s42", "down", "mixed-s42")],
)
def test_it_sorts_as_pandas_does(run, look, kind, of, order, key):
    page = look(run).page
    page.select_option("#kind", kind)
    page.select_option("#of", of)
    page.select_option("#order", order)
    ranked = score(run, kind, key).index.tolist()
    assert listed(page) == (ranked if order == "up" else ranked[::-1])
    assert page.inner_text("#name") == listed(page)[0]  # the first of the new order is shown


def test_the_worst_are_one_click_away(run, look):
    page = look(run).page
    page.get_by_role("button", name="Largest loss").click()
    assert listed(page) == by_gain(run)[::-1]
    page.get_by_role("button", name="Worst of after").click()
    assert listed(page) == score(run, "cc", AFTER).index.tolist()
    assert page.get_attribute("#cases button:has-text('Worst')", "aria-pressed") == "true"
    agree = run.table("consistency").query("dataset == 'table'").sort_values("consistency", kind="stable")
    page.get_by_role("button", name="Observers disagree").click()
    assert listed(page) == agree["image"].tolist()
    right = keyed(run.table("scores/table-predictions")).pivot(index="image", columns="key", values="correct")
    page.get_by_role("button", name="Newly wrong").click()
    assert set(listed(page)) == set(right.index[right[BEFORE] & ~right[AFTER]]) != set()


def test_it_filters_by_objects_classes_and_answers(run, look):
    watched = look(run)
    page = watched.page
    objects = {name_of(i): objects_of(i) for i in range(2, 24, 3)}
    page.click("summary")

    def only(**filters):
        for name in ("category", "animacy", "size", "class", "answer"):
            page.select_option(f"#{name}", filters.get(name, ""))
        return set(listed(page))

    assert only(category=CATEGORY) == {name for name, has in objects.items() if CATEGORY in has} != set()
    assert only(animacy="only animate") == {name for name, has in objects.items() if has == [CATEGORY]} != set()
    assert only(animacy="inanimate") == {name for name, has in objects.items() if "table" in has} != set()
    assert only(size="large") == {name for name, has in objects.items() if "house" in has} != set()
    assert only(size="small", animacy="inanimate") == {name for name, has in objects.items() if len(has) > 1}
    told = keyed(run.table("scores/table-predictions")).query("key == @AFTER").set_index("image")
    assert only(**{"class": CLASSES[0]}) == set(told.index[told["class"] == CLASSES[0]]) != set()
    assert watched.serious() == []
    assert only(answer=f"right {AFTER}") == set(told.index[told["correct"]]) != set()
    assert only(answer=f"wrong {AFTER}") == set(told.index[~told["correct"]]) != set()
    assert only() == set(objects)
    page.fill("#text", "P0")
    assert set(listed(page)) == {name for name in objects if name.startswith("p0")} != set()
    page.fill("#text", "no such name")
    assert listed(page) == [] and page.inner_text("#name") == "No image passes these filters"
    page.click("#all")
    assert len(listed(page)) == 8


def test_keys_go_through_the_list_and_pick(run, look):
    page, names = look(run).page, by_gain(run)
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#name") == names[1]
    page.focus("#list")
    for key, place in (("ArrowDown", 2), ("End", 7), ("ArrowDown", 7), ("ArrowUp", 6), ("Home", 0)):
        page.keyboard.press(key)
        assert page.inner_text("#name") == names[place], key
    page.keyboard.press("Space")
    active = page.get_attribute("#list", "aria-activedescendant")
    assert page.get_attribute(f"#{active}", "aria-selected") == "true" and page.is_checked("#pick")
    page.focus("#wipe")
    page.keyboard.press("ArrowRight")  # a slider keeps its keys
    assert page.inner_text("#name") == names[0] and page.input_value("#wipe") == "51"


def test_the_address_holds_the_whole_state(run, look):
    page, names = look(run).page, by_gain(run)
    page.select_option("#left", BEFORE)
    page.select_option("#right", f"{AFTER} minus {BEFORE}")
    page.select_option("#observer", "is o2")
    page.fill("#wipe", "23")
    page.fill("#opacity", "81")
    page.select_option("#kind", "cc")
    page.select_option("#order", "up")
    page.click("summary")
    page.select_option("#animacy", "animate")
    page.locator(".row", has_text=listed(page)[1]).click()
    page.check("#pick")
    again = look(run, reopen=page.url).page
    ids = ("left", "right", "observer", "wipe", "opacity", "kind", "of", "order", "animacy")
    assert [again.input_value(f"#{i}") for i in ids] == [page.input_value(f"#{i}") for i in ids]
    assert again.inner_text("#name") == page.inner_text("#name") == listed(page)[1] and again.is_checked("#pick")
    assert listed(again) == listed(page) and len(listed(page)) < len(names)
    page.evaluate("location.hash = ''")  # as by hand, or the way back
    page.wait_for_function("document.getElementById('left').value === 'human'")
    assert listed(page) == names and not page.is_checked("#pick")
    nonsense = look(run, image="none", left="nobody", wipe="400", kind="zzz", category="zebra", picked="99.x").page
    assert listed(nonsense) == names and nonsense.input_value("#wipe") == "50"


def test_the_csv_holds_the_picked_rows_and_no_formula(run, look):
    page = look(run, kind="name", order="up").page
    for name in ("=1+2.png", "-dash.png", "a,b.png"):
        page.locator(".row", has_text=name).locator(".box").click()
    with page.expect_download() as started:
        page.click("#csv")
    assert started.value.suggested_filename == "small-table.csv"
    text = Path(started.value.path()).read_text("utf-8")
    got = pd.read_csv(io.StringIO(text)).set_index("image")
    assert sorted(got.index) == sorted(["'=1+2.png", "'-dash.png", "a,b.png"])
    assert not re.search(r"(^|,)\"?[=+@]", text) and ",-dash" not in text  # numbers may be below 0
    want = keyed(run.table("scores/table")).query("key == @AFTER").set_index("image")
    assert got.loc["'=1+2.png", f"cc {AFTER}"] == pytest.approx(want.loc["=1+2.png", "cc"], rel=1e-5)
    gains = run.table("gains").query("dataset == 'table' and first == @AFTER and second == @BEFORE").set_index("image")
    assert got.loc["a,b.png", f"gain {PAIR}"] == pytest.approx(gains.loc["a,b.png", "gain"], rel=1e-5)
    page.click("#pick-none")
    with page.expect_download() as started:
        page.click("#csv")
    assert len(pd.read_csv(started.value.path())) == 8  # nothing picked: what is shown


def layer(page, name, place):
    """Every fourth value of a layer down and across."""
    read = "([l, i]) => [...explorer.layerOf('table', l, i).values].filter((_, k) => !(k % 4) && !((k / 224 | 0) % 4))"
    return np.array(page.evaluate(read, [name, place])).reshape(56, 56)


def test_a_map_on_the_page_is_the_run_s(run, look):
    page = look(run, kind="name").page
    test = load_prepared(run, "table", [(32, 32)])
    rows = test.rows("test")
    theirs = {key: upsampled(read_maps(run, f"attention/table/{key}")["grid"])[:, ::4, ::4] for key in (BEFORE, AFTER)}
    human = torch.nn.functional.adaptive_avg_pool2d(densities(test.points, rows), 56)
    for place in (0, 5):
        for key in (BEFORE, AFTER):
            np.testing.assert_allclose(layer(page, key, place), theirs[key][place], atol=1.5 / 255)
        moved = theirs[AFTER][place] - theirs[BEFORE][place]
        np.testing.assert_allclose(layer(page, f"{AFTER} minus {BEFORE}", place), moved, atol=3 / 255)
        np.testing.assert_allclose(layer(page, "human", place), upsampled(human)[place, ::4, ::4], atol=1.5 / 255)


def colour_at(page, pane, x, y):
    read = "([p, x, y]) => [...document.querySelector(p + ' canvas').getContext('2d').getImageData(x, y, 1, 1).data]"
    return page.evaluate(read, [pane, x, y])


def test_maps_are_drawn_in_cividis_and_differences_on_a_scale_centred_on_0(run, look):
    page = look(run, left=AFTER, right=f"{AFTER} minus {BEFORE}").page
    place = run.table("scores/table-consistency")["image"].tolist().index(page.inner_text("#name"))
    for pane, name, colours, low in (
        ("#pane-left", AFTER, "cividis", 0),
        ("#pane-right", f"{AFTER} minus {BEFORE}", "RdBu_r", -1),
    ):
        values = layer(page, name, place)
        for x, y in ((4, 200), (100, 100), (180, 20)):
            shade = round((values[y // 4, x // 4] - low) / (1 - low) * 255)
            want = np.round(np.array(mpl.colormaps[colours](np.linspace(0, 1, 256)[shade])) * 255)
            assert np.abs(np.array(colour_at(page, pane, x, y)) - want).max() <= 1
    bars = page.locator(".bar").all_inner_texts()
    assert len(bars) == 2 and "1, most" in bars[0] and "more, +1" in bars[1]


def shot(page, share):
    """The colour of the stage at these shares of its width and height, as a person sees it."""
    picture = Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB")
    return np.array(picture.getpixel((int(share[0] * picture.width), int(share[1] * picture.height)))).astype(int)


def test_the_wipe_uncovers_and_opacity_fades(run, look):
    page = look(run, left="photo", right=AFTER, wipe=50, opacity=100).page
    page.wait_for_function("[...document.querySelectorAll('.pane img')].every(p => p.complete && p.naturalWidth)")
    right, left = (0.8, 0.3), (0.2, 0.3)
    photo = shot(page, left)
    assert photo[0] > 150 > photo[2]  # the red half
    x, y = int(right[0] * 224), int(right[1] * 224)
    assert np.abs(shot(page, right) - colour_at(page, "#pane-right", x, y)[:3]).max() < 12  # the map hides the photo
    page.fill("#wipe", "95")
    uncovered = shot(page, right)
    assert uncovered[2] > 150 > uncovered[0]  # the blue half
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 60, steps=3)
    page.mouse.up()
    assert page.input_value("#wipe") == "10"
    assert np.abs(shot(page, right) - colour_at(page, "#pane-right", x, y)[:3]).max() < 12
    page.fill("#opacity", "0")
    grey = shot(page, right)
    assert grey.max() - grey.min() < 4  # the photo in grey, nothing over it


def test_fixations_by_observer(run, look):
    page = look(run, observer="is o1").page
    name = page.inner_text("#name")
    test = load_prepared(run, "table", [(32, 32)])
    row = test.table["image"].tolist().index(name)
    theirs = slice(*test.points.offsets[row : row + 2])
    mine = np.array(test.observer_names(test.points.observer[theirs])) == "o1"
    assert f"{mine.sum()} fixations of 1 observer." in page.inner_text("#note")
    cells = np.stack([test.points.column[theirs], test.points.row[theirs]], axis=1)
    covered = page.evaluate(
        "places => { const c = document.getElementById('points'), p = c.getContext('2d'); return places.map(([x, y]) =>"
        " p.getImageData(Math.floor(x * c.width), Math.floor(y * c.height), 1, 1).data[3] > 0); }",
        ((cells + 0.5) / 64).tolist(),
    )
    assert np.array(covered)[mine].all() and not np.array(covered)[~mine].all()
    page.select_option("#observer", "everybody")
    assert "24 fixations of 4 observers." in page.inner_text("#note")


def test_names_with_tags_are_text(run, look):
    page = look(run, kind="name").page
    assert set(NAMES) & set(listed(page)) == set(NAMES)
    page.locator(".row", has_text=NAMES[0]).click()
    assert page.inner_text("#name") == NAMES[0]
    assert CATEGORY in page.locator("#category option").all_text_contents()
    assert CLASSES[0] in page.locator("#class option").all_text_contents()
    assert page.locator("b, .label img, .label script").count() == 0


def test_a_phone_sees_it_whole(run, look):
    watched = look(run, width=390, height=800)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert watched.page.locator("#stage").bounding_box()["width"] > 340
    assert watched.serious() == []


def test_another_data_set_has_only_the_controls_it_can_fill(run, look):
    page = look(run).page
    page.select_option("#dataset", "other")
    page.wait_for_function("document.getElementById('count').textContent.startsWith('other: 6 test images')")
    assert len(listed(page)) == 6
    page.click("summary")
    for name, there in (("text", True), ("class", False), ("category", False), ("animacy", False), ("answer", False)):
        assert page.is_visible(f"#{name}") == there, name
    assert page.get_by_role("button", name="Newly wrong").count() == 0
    assert look(run, reopen=page.url).page.input_value("#dataset") == "other"


def test_a_run_that_only_compares_says_what_it_shows_and_what_is_missing(run, look, tmp_path):
    """Drawn again with fewer images, without photos and with a map missing."""
    bare = Run(shutil.copytree(run.path, tmp_path / "bare"))
    shutil.rmtree(bare.path / "explorer")
    experiment, metrics = of_run(bare), {name: METRICS[name] for name in ("cc", "kl", "entropy_bits")}
    shard = "attention/table/before/00000.safetensors"
    tensors = bare.tensors(shard)
    tensors["grid"][0] = 1.0
    bare.write_tensors(shard, tensors, classes=[], inputs="")
    scored = {"table": ["scores/table.csv"]}
    write_explorer(bare, scored, experiment.roles(), experiment.labels(), metrics, [], most=4)
    page = look(bare, kind="name", order="up", left="before").page
    assert page.inner_text("#count") == "table: 4 of 8 test images, evenly chosen"
    names = load_prepared(bare, "table", []).table.query("split == 'test'")["image"].tolist()
    assert set(listed(page)) == {names[i] for i in (0, 2, 5, 7)}
    page.locator(".row", has_text=names[0]).click()
    assert page.inner_text("#note") == "No before map: constant map. No photo."
    assert "consistency" not in page.locator("#kind option").evaluate_all("options => options.map(o => o.value)")
    assert page.locator("#answer").is_hidden() and page.locator("#category").is_hidden()


def test_photos_come_from_the_decoded_ones_where_the_data_are_gone(run, tmp_path):
    bare = Run(shutil.copytree(run.path, tmp_path / "bare"))
    shutil.rmtree(bare.path / "explorer")
    experiment = of_run(bare)
    metrics = {name: METRICS[name] for name in experiment.metrics}
    scored = {"table": ["scores/table.csv"]}
    written = write_explorer(bare, scored, experiment.roles(), experiment.labels(), metrics, [(32, 32)])
    photos = [name for name in written if name.endswith(".jpg")]
    assert len(photos) == 8
    with Image.open(bare.file(photos[0])) as photo:
        assert photo.size == (43, 32)  # 160 x 120 as a model of 32 x 32 pixels saw it
