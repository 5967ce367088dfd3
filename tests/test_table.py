import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gazetune.data.splits import Given, Hash, Modulo, Whole, members, split_of
from gazetune.data.table import load_table
from gazetune.errors import InputError
from worlds import write_study


def edit(folder, change):
    table = pd.read_csv(folder / "fixations.csv")
    change(table).to_csv(folder / "fixations.csv", index=False)


def test_reads_images_observers_and_points(tmp_path):
    study = load_table(write_study(tmp_path, n=3))
    table = pd.read_csv(tmp_path / "fixations.csv")
    assert study.ids == ("p000.png", "p001.png", "p002.png")
    assert study[1].width == 64 and study[1].height == 48
    np.testing.assert_allclose(study[1].fixations.x, table.query("image == 'p001.png'")["x"], atol=1e-5)
    assert sorted(set(study.fixations.observer.tolist())) == [0, 1, 2, 3]
    assert study.pixels(0).shape == (48, 64, 3)
    assert study.pixels(0, (32, 16)).shape == (32, 16, 3)
    assert len(study[:2]) == 2
    assert study.fingerprint() == load_table(tmp_path).fingerprint() != study[:2].fingerprint()


def test_frame_columns_stand_for_resized_files(tmp_path):
    write_study(tmp_path, n=2, size=(64, 48))
    edit(tmp_path, lambda t: t.assign(x=t.x * 10, y=t.y * 10, image_width=640, image_height=480))
    study = load_table(tmp_path)
    assert study.width.tolist() == [640, 640]
    assert study.fixations.x.max() > 64


def test_images_without_fixations_belong_to_the_study(tmp_path):
    write_study(tmp_path, n=2)
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "a-blank.png")
    assert load_table(tmp_path).n_fixations.tolist() == [0, 20, 20]


def test_works_without_photos_when_the_frame_is_known(tmp_path):
    write_study(tmp_path, n=2)
    edit(tmp_path, lambda t: t.assign(image_width=64, image_height=48))
    for photo in (tmp_path / "images").iterdir():
        photo.unlink()
    study = load_table(tmp_path)
    assert study[0].path is None
    with pytest.raises(InputError, match="no photo"):
        study.pixels(0)


def test_few_fixations_outside_are_counted_and_many_refused(tmp_path, capsys):
    write_study(tmp_path, n=2)
    edit(tmp_path, lambda t: t.assign(x=t.x.where(t.index != 0, 64.0)))
    study = load_table(tmp_path)
    assert study.outside.tolist() == [1, 0]
    assert study.n_fixations.tolist() == [19, 20]
    assert "1 of 40 fixations" in capsys.readouterr().err
    edit(tmp_path, lambda t: t.assign(x=t.x + 30))
    with pytest.raises(InputError, match="outside their image"):
        load_table(tmp_path)


def test_boxes_and_masks(tmp_path):
    write_study(tmp_path, n=2)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 5:15] = 255
    Image.fromarray(mask).save(tmp_path / "face.png")
    (tmp_path / "objects.csv").write_text(
        "image,object,category,x,y,width,height,mask,animate\n"
        "p000.png,one,cup,3,4,10,5,,false\n"
        "p000.png,two,face,,,,,face.png,true\n"
    )
    cup, face = load_table(tmp_path)[0].objects
    assert (cup.category, cup.animate, cup.area_px2, cup.mask.sum()) == ("cup", False, 50.0, 50)
    assert cup.mask[4, 3] and not cup.mask[3, 3] and not cup.mask[4, 13]
    assert face.animate and face.area_px2 == 100 and np.array_equal(face.mask, mask > 0)
    assert load_table(tmp_path)[1].objects == ()


def test_outlines(tmp_path):
    write_study(tmp_path, n=2)
    header = "image,category,outline,animate\n"
    rows = 'p000.png,cup,"10 20, 14 20, 14 30, 10 30",false\np000.png,dog,"-50 -50, 5 -50, 5 8, -50 8",true\n'
    (tmp_path / "objects.csv").write_text(header + rows)
    cup, dog = load_table(tmp_path)[0].objects
    assert cup.area_px2 == cup.mask.sum() == 40 and cup.mask[20:30, 10:14].all()
    assert dog.area_px2 == dog.mask.sum() == 40 and dog.mask[:8, :5].all()  # cut off at the edge of the image
    for outline in ("1 1, 2 2", "1 1, 2 2, 3", "1 1, 2 2, north 3", "1 1, 2 2, inf 3"):
        (tmp_path / "objects.csv").write_text(f'{header}p000.png,cup,"{outline}",false\n')
        with pytest.raises(InputError, match="line 2: an outline is at least three corners"):
            load_table(tmp_path)
    (tmp_path / "objects.csv").write_text(f'{header}p000.png,cup,"90 90, 95 90, 95 95",false\n')
    with pytest.raises(InputError, match="line 2: the outline holds no pixel"):
        load_table(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="observer"), "missing: observer"),
        (lambda t: t.assign(x=t.x.where(t.index != 3)), "line 5: 'x' is empty or NaN"),
        (lambda t: t.assign(observer=t.observer.where(t.index != 3)), r"line 5: 'observer' is empty \(1 such rows\)"),
        (lambda t: t.assign(observer=t.observer.where(t.index < 38, "  ")), r"line 40: 'observer' is empty \(2 such"),
        (lambda t: t.assign(image=t.image.where(t.index != 0)), "line 2: 'image' is empty"),
        (lambda t: t.assign(y=["north", *t.y[1:]]), "line 2: 'y' must be a number, got 'north'"),
        (lambda t: t.assign(image=t.image.where(t.index != 0, "gone.png")), "'gone.png'"),
        (lambda t: t.assign(split=np.where(t.index == 0, "test", "train")), "same for all rows"),
    ],
)
def test_bad_tables_are_named(tmp_path, change, message):
    write_study(tmp_path, n=2)
    edit(tmp_path, change)
    with pytest.raises(InputError, match=message):
        load_table(tmp_path)


def test_split_rules(tmp_path):
    study = load_table(write_study(tmp_path, n=20, split=lambda i: ["train", "validation", "test"][i % 3]))
    given = split_of(study, Given(rule="given"))
    assert given[:4] == ("train", "validation", "test", "train")
    modulo = split_of(study, Modulo(rule="modulo", modulus=10, minus=1, train=(0, 1), test=(9,)))
    assert modulo[:3] == ("test", "train", "train") and modulo[5] is None
    assert set(split_of(study, Whole(rule="all_test"))) == {"test"}
    hashed = split_of(study, Hash(rule="hash"))
    assert hashed[:7] == split_of(study[:7], Hash(rule="hash"))
    assert members(given, "test", limit=2).tolist() == [2, 5]


def test_ids_that_occur_twice_are_refused(tmp_path):
    study = load_table(write_study(tmp_path, n=2))
    with pytest.raises(InputError, match="occur once"):
        study.take(np.array([0, 0]))


def test_another_separator_is_named(tmp_path):
    write_study(tmp_path)
    csv = tmp_path / "fixations.csv"
    csv.write_text(csv.read_text().replace(",", ";"))
    with pytest.raises(InputError, match="Save it with commas"):
        load_table(tmp_path)
