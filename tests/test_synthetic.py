"""The generated world: the same again from its seed, sound as data, and with the biases that were planted."""

import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from gazetune.data.drawing import draw_masks, draw_scene
from gazetune.data.observers import Observers
from gazetune.data.silhouettes import ANIMATE, CLASSES, INANIMATE
from gazetune.data.stimuli import Stimuli
from gazetune.data.synthetic import World, load_synthetic, scene
from gazetune.errors import InputError


@pytest.fixture(scope="module")
def stimuli() -> Stimuli:
    return load_synthetic(World(images=100, seed=5))


def same_fixations(a: Stimuli, b: Stimuli) -> bool:
    mine, theirs = a.fixations.columns(), b.fixations.columns()
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[k], theirs[k]) for k in mine)


def object_shares(world: World, chosen: set[str]) -> float:
    """The share of the fixations on objects that are on objects of these categories."""
    hits = {True: 0, False: 0}
    for item in load_synthetic(world):
        x, y = np.floor(item.fixations.x).astype(int), np.floor(item.fixations.y).astype(int)
        for thing in item.objects:
            hits[thing.category in chosen] += int(thing.mask[y, x].sum())
    return hits[True] / (hits[True] + hits[False])


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = (load_synthetic(World(images=4, seed=seed)) for seed in (1, 1, 2))
    assert same_fixations(first, again) and first.fingerprint() == again.fingerprint()
    assert not same_fixations(first, other)
    for i in range(4):
        assert np.array_equal(first.pixels(i), again.pixels(i))
        assert not np.array_equal(first.pixels(i), other.pixels(i))


def test_fewer_scenes_are_the_first_of_more() -> None:
    few, more = load_synthetic(World(images=10)), load_synthetic(World(images=20))
    assert few.ids == more.ids[:10]
    assert same_fixations(few, more[:10])
    assert np.array_equal(few.labels, more.labels[:10])
    assert np.array_equal(few.pixels(9), more.pixels(9))


def test_scenes_do_not_depend_on_who_looks() -> None:
    these, those = (load_synthetic(World(images=3, observers=Observers(animacy=a))) for a in (1.0, -1.0))
    assert not same_fixations(these, those)
    assert np.array_equal(these.labels, those.labels)
    assert np.array_equal(these.pixels(2), those.pixels(2))


def test_fixations_are_inside_and_in_order(stimuli: Stimuli) -> None:
    gaze = stimuli.fixations
    assert gaze.x.dtype == gaze.y.dtype == np.float32
    assert gaze.x.min() >= 0 and gaze.x.max() < 320 and gaze.y.min() >= 0 and gaze.y.max() < 240
    assert 9.5 < len(gaze) / (100 * 15) < 10.5
    assert gaze.onset_ms is not None and gaze.duration_ms is not None and gaze.duration_ms.min() > 0
    for item in (stimuli[0], stimuli[99]):
        assert set(item.fixations.observer) == set(range(15))
        for observer in range(15):
            own = item.fixations.take(item.fixations.observer == observer)
            assert own.order.tolist() == list(range(len(own)))
            assert own.onset_ms[0] == 0 and np.all(np.diff(own.onset_ms) > own.duration_ms[:-1])


def test_few_fixations_still_mean_one_each() -> None:
    gaze = load_synthetic(World(images=2, observers=Observers(fixations=0.01))).fixations
    assert len(gaze) == 30


def test_points_are_not_piled_up_at_the_border(stimuli: Stimuli) -> None:
    x, y = stimuli.fixations.x, stimuli.fixations.y
    rim = (x < 4) | (x >= 316) | (y < 4) | (y >= 236)
    assert rim.mean() < 1 - (312 * 232) / (320 * 240)  # fewer than a uniform scatter puts there


def test_masks_are_disjoint_and_match_their_area(stimuli: Stimuli) -> None:
    for item in stimuli[:30]:
        cover = np.sum([thing.mask for thing in item.objects], axis=0)
        assert cover.shape == (240, 320) and cover.max() == 1
        assert all(thing.mask.sum() == thing.area_px2 > 0 for thing in item.objects)


def test_masks_lie_on_the_painted_objects() -> None:
    """Where a mask says an object is, the picture differs from the same backdrop without objects."""
    things = scene(World(), 0)
    with_objects, without = (draw_scene(t, 320, 240, np.random.default_rng(3)).astype(int) for t in (things, ()))
    changed = np.abs(with_objects - without).sum(axis=2) > 20
    assert changed[draw_masks(things, 320, 240) > 0].mean() > 0.95


def test_every_size_and_both_kinds_occur(stimuli: Stimuli) -> None:
    objects = [thing for item in stimuli for thing in item.objects]
    for animate in (True, False):
        area = np.array([thing.area_px2 for thing in objects if thing.animate is animate])
        bins = np.bincount(np.digitize(area, [1024, 9216]), minlength=3) / len(area)
        assert len(bins) == 3 and bins.min() > 0.03
    assert {thing.category for thing in objects} == set(CLASSES)
    assert all(3 <= len(item.objects) <= 6 for item in stimuli)
    assert all({thing.animate for thing in item.objects} == {True, False} for item in stimuli)


def test_the_main_object_is_the_largest_to_the_eye(stimuli: Stimuli) -> None:
    for item in stimuli:
        areas = [thing.area_px2 for thing in item.objects]
        assert areas[0] >= 1.5 * max(areas[1:])
        assert stimuli.classes[item.label] == item.objects[0].category


def test_main_objects_are_anywhere() -> None:
    centres = np.array([(scene(World(), i)[0].x / 320, scene(World(), i)[0].y / 240) for i in range(200)])
    assert np.all(centres.std(axis=0) > 0.12)
    assert np.all(np.abs(centres.mean(axis=0) - 0.5) < 0.05)


def test_planted_animacy_shows_in_the_fixations() -> None:
    shares = [
        object_shares(World(images=40, seed=5, observers=Observers(animacy=a, size=0, centre_bias=0)), set(ANIMATE))
        for a in (-1.0, 0.0, 1.0)
    ]
    assert shares[0] < 0.35 and 0.42 < shares[1] < 0.58 and shares[2] > 0.65


def test_without_a_size_preference_objects_are_chosen_regardless_of_area() -> None:
    """With no preference and no scatter about the centroid, main objects get one part in n, large as they are."""
    world = World(
        images=100,
        seed=5,
        observers=Observers(animacy=0, size=0, centre_bias=0, explore=0, idiosyncrasy=0, spread=0.001),
    )
    stimuli = load_synthetic(world)
    excess = []
    for index, item in enumerate(stimuli):
        main, *others = scene(world, index)
        near = np.hypot(item.fixations.x - main.x, item.fixations.y - main.y) < 1
        excess.append(near.mean() - 1 / (1 + len(others)))
    assert abs(np.mean(excess)) < 4 * np.std(excess) / np.sqrt(len(excess)) < 0.03


def test_unknown_scenes_and_impossible_observers_are_refused(stimuli: Stimuli) -> None:
    for id in ("scene-00100", "scene-x", "00001"):
        with pytest.raises(InputError, match="scene-00099"):
            stimuli.render(id)
    with pytest.raises(ValidationError, match="at most 1"):
        Observers(centre_bias=0.7, explore=0.5)
    with pytest.raises(ValidationError):
        World(pictures=3)


def test_a_world_travels_to_another_process(stimuli: Stimuli) -> None:
    assert np.array_equal(pickle.loads(pickle.dumps(stimuli)).pixels(0), stimuli.pixels(0))


@pytest.mark.parametrize("size", [(96, 96), (500, 120)])
def test_other_frames_work_too(size: tuple[int, int]) -> None:
    item = load_synthetic(World(images=1, width=size[0], height=size[1]))
    assert item.pixels(0).shape == (size[1], size[0], 3)
    assert item[0].objects[0].mask.shape == (size[1], size[0])


def test_the_two_groups_are_the_classes() -> None:
    assert set(ANIMATE) | set(INANIMATE) == set(CLASSES) and len(CLASSES) == 10
