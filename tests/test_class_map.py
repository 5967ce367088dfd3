import numpy as np
import pandas as pd
import pytest
import torch

from conftest import data_folder
from gazetune.data.classes import Classes, first_synonym, plain_name, read_class_index
from gazetune.errors import InputError
from gazetune.parity.class_map import class_places, read_class_map, why_not
from gazetune.parity.predict import predictions

FISH = Classes(
    names=("tench, Tinca tinca", "goldfish, Carassius", "crane", "crane"),
    wnids=("n00000001", "n00000002", "n00000003", "n00000004"),
)


@pytest.fixture(scope="module")
def imagenet():
    return read_class_index(data_folder("imagenet_sample") / "class_index.csv")


def test_names_are_compared_plainly():
    assert plain_name(" French_Horn ") == "french horn"
    assert first_synonym("Tench, Tinca tinca") == "tench"
    assert (FISH.place("TENCH"), FISH.place("goldfish, carassius"), FISH.place("crane")) == (0, 1, None)


def test_classes_are_matched_by_name():
    assert class_places(("a", "b", "c"), ("c", "a", "b"), 3) == [1, 2, 0]
    assert class_places(("a", "b"), (), 2) == [0, 1]
    assert class_places(("a", "b"), (), 3) is None
    assert class_places(("b", "a"), ("x", "a", "y", "b"), 4) == [3, 1]
    assert class_places(("a", "b"), ("a", "x"), 2) is None
    assert class_places(("B_c", "a"), ("x", "A, alpha", "b C"), 3) == [2, 1]


def test_a_model_with_another_number_of_classes_is_refused_with_the_reason():
    assert why_not(("a", "b"), (), 3) == "The data set has 2 classes, the model 3, and it names none of them."
    told = why_not(FISH, ("tench", "cow"), 2)
    assert "4 classes, the model 2; 3 of the data set's are not told by their names" in told
    assert "'goldfish, Carassius', 'crane', 'crane'; the model has 'tench', 'cow'" in told
    assert why_not(("a", "b"), ("a", "b"), 2) == ""
    assert "names 2 classes but has 3 logits" in why_not(("a", "b"), ("a", "b"), 3)


def test_as_many_classes_are_in_the_same_order_unless_a_name_says_otherwise():
    assert class_places(FISH, ("tench", "goldfish", "kran", "crane"), 4) is None  # 2 of 4 are no majority
    assert class_places(FISH, ("tench", "goldfish", "crane", "kran"), 4) is None
    assert class_places(("a", "b", "c", "d"), ("a", "b", "c", "x"), 4) == [0, 1, 2, 3]
    assert class_places(("a", "b", "c", "d"), ("a", "b", "d", "x"), 4) is None
    # nothing to compare: synset ids against names
    assert class_places(("n00000001", "n00000002"), ("tench", "goldfish"), 2) == [0, 1]
    assert class_places(("cat", "dog"), ("car", "ship"), 2) is None


def test_synset_ids_are_compared_too():
    assert class_places(FISH, ("n00000004", "n00000003", "n00000002", "n00000001"), 4) == [3, 2, 1, 0]
    assert class_places(FISH, ("none", "n00000002 x", "n00000001 y", "n00000003", "n00000004"), 5) == [2, 1, 3, 4]
    assert class_places(("n00000002",), ("n00000001", "n00000002"), 2) == [1]


def test_imagenets_two_cranes(imagenet):
    same = list(range(1000))
    named = list(imagenet.names)
    assert [named[i] for i in (134, 517)] == ["crane", "crane"]
    assert class_places(imagenet, named, 1000) == same
    assert class_places(Classes(imagenet.wnids, imagenet.wnids), named, 1000) == same
    # one class more at the front, as some models have: the cranes are told by their neighbours
    assert class_places(imagenet, ["background", *named], 1001) == [i + 1 for i in same]
    # in another order they cannot be told, and are not guessed
    mixed = np.random.default_rng(0).permutation(1000)
    assert class_places(imagenet, [named[i] for i in mixed], 1000) is None
    assert "2 of the data set's are not told by their names among the model's: 'crane', 'crane'" in why_not(
        imagenet, [named[i] for i in mixed], 1000
    )
    by_synset = class_places(imagenet, [imagenet.wnids[i] for i in mixed], 1000)
    assert (mixed[by_synset] == np.arange(1000)).all()


def test_short_names_of_the_same_classes(imagenet):
    short = pd.read_csv(data_folder("imagenet_sample") / "class_index.csv")["short_name"].tolist()
    assert class_places(imagenet, short, 1000) == list(range(1000))
    assert class_places(Classes(("French horn", "golf ball")), list(imagenet.names), 1000) == [566, 574]


# --class-map ------------------------------------------------------------------------------------------------------


def test_a_class_map_by_index_or_name(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("class,index\nn00000003,4\ntench,1\nGoldfish,1\nn00000004,0\n")
    assert read_class_map(path, FISH, (), 5) == [1, 1, 4, 0]
    path.write_text("class,model_class\nn00000003,bird\ntench,fish\ngoldfish,FISH\nn00000004,machine\n")
    place = read_class_map(path, FISH, ("machine", "bird", "fish, Pisces"), 3)
    assert place == [2, 2, 1, 0]
    answered = predictions(torch.eye(3)[[2, 1]] * 9, np.array(place)[[1, 3]])
    assert answered["correct"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("class,index\ntench,5", r"no index of the model's 5 logits \(0 to 4\): '5'"),
        ("class,index\ntench,-1", "'-1'"),
        ("class,index\ntench,1.5", "'1.5'"),
        ("class,index\ncow,1\ncrane,1", "2 times: no class of the data set, or of several: 'cow', 'crane'"),
        ("class,index\ntench,1\nn00000001,2", "two places in the model"),
        ("class,index\ntench,1", r"3 times: a class of the images \(4\) without a row: 'goldfish, Carassius'"),
        ("class,model_class\ntench,cow", "none of the 2 classes that the model names, or of several: 'cow'"),
        ("class,place\ntench,1", "needs the columns class, and index or model_class; it has class, place"),
        ("index,model_class\n1,1", "needs the columns class"),
    ],
)
def test_bad_class_maps(tmp_path, rows, said):
    (tmp_path / "map.csv").write_text(rows + "\n")
    with pytest.raises(InputError, match=said):
        read_class_map(tmp_path / "map.csv", FISH, ("fish", "bird"), 5)
    with pytest.raises(InputError, match="cannot be read as a CSV"):
        read_class_map(tmp_path / "nowhere.csv", FISH, (), 5)
