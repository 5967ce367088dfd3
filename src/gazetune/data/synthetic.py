"""A generated world with planted biases: it runs everything offline and tells whether the analyses recover them."""

from functools import lru_cache, partial

import numpy as np
from jaxtyping import Bool, Float, UInt8
from pydantic import BaseModel, ConfigDict, Field

from gazetune.data.drawing import Thing, draw_masks, draw_scene, placed
from gazetune.data.observers import Observers, gaze, tastes
from gazetune.data.silhouettes import ANIMATE, CLASSES
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli, grouped
from gazetune.errors import InputError

# One stream of random numbers for each (seed, image, purpose): the images do not depend on how many there are, nor the
# scenes on who looks at them. From 1, because numpy's SeedSequence cannot tell [3] from [3, 0].
LAYOUT, PAINT, GAZE, TASTE = 1, 2, 3, 4

MAIN_SHARE = (0.05, 0.2)  # of the frame, log-uniform: 3,840 to 15,360 px2 of 320 x 240
OTHER_SHARE = (0.0026, 0.075)  # from 200 px2; small objects in COCO's sense (below 1024 px2) are about half
MAIN_TO_NEXT = 1.55  # a little above the 1.5 promised for visible pixels, which are counted after drawing
OVERLAP = 0.12  # of an object's box, at most, may lie on the box of an earlier one
UPRIGHT = ("person", "cup", "house", "lamp", "car")  # these are tilted less


class World(BaseModel):
    """A generated data set: how many scenes, from which seed, how large, and who looks at them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(700, ge=1)
    seed: int = Field(0, ge=0)
    width: int = Field(320, ge=96, le=4096)
    height: int = Field(240, ge=96, le=4096)
    observers: Observers = Observers()


def load_synthetic(world: World | None = None) -> Stimuli:
    """The generated world as a data set; the first n scenes are the same however many are asked for.

    Labels are the category of the main object, at least 1.5 times as large as any other to the eye. Nothing is drawn
    until pixels or masks are asked for.
    """
    world = world or World()
    who, size = world.observers, (world.width, world.height)
    taste = tastes(who, np.random.default_rng([world.seed, 0, TASTE]))
    scenes = [scene(world, index) for index in range(world.images)]
    gazes = [
        gaze(who, taste, things, size, np.random.default_rng([world.seed, index, GAZE]))
        for index, things in enumerate(scenes)
    ]
    columns = {name: np.concatenate([getattr(one, name) for one in gazes]) for name in gazes[0].columns()}
    image = np.repeat(np.arange(world.images), [len(one) for one in gazes])
    ids = tuple(f"scene-{index:05d}" for index in range(world.images))
    fixations, offsets = grouped(world.images, image, Fixations(**columns))
    return Stimuli(
        name="synthetic",
        ids=ids,
        width=np.full(world.images, world.width),
        height=np.full(world.images, world.height),
        fixations=fixations,
        offsets=offsets,
        paths=(None,) * world.images,
        render=partial(_render, world),
        find_objects=partial(_find_objects, world),
        labels=np.array([CLASSES.index(things[0].category) for things in scenes]),
        classes=CLASSES,
    )


def scene(world: World, index: int) -> tuple[Thing, ...]:
    """The objects of a scene from the largest (the main object, painted first) to the smallest; nothing is drawn."""
    rng = np.random.default_rng([world.seed, index, LAYOUT])
    frame = world.width * world.height
    categories = _cast(rng)
    main_px2 = frame * np.exp(rng.uniform(*np.log(MAIN_SHARE)))
    things = [_place(categories[0], main_px2, (), world, rng)]
    most_px2 = min(OTHER_SHARE[1] * frame, 0.85 * things[0].area_px2 / MAIN_TO_NEXT)
    areas_px2 = np.exp(rng.uniform(np.log(OTHER_SHARE[0] * frame), np.log(most_px2), size=len(categories) - 1))
    for category, area_px2 in zip(categories[1:], np.sort(areas_px2)[::-1], strict=True):
        things.append(_place(category, float(area_px2), tuple(things), world, rng))
    return (things[0], *sorted(things[1:], key=lambda thing: -thing.area_px2))


def _cast(rng: np.random.Generator) -> list[str]:
    """Three to six different categories, the main object's first, with animate and inanimate ones among them."""
    order = [CLASSES[i] for i in rng.permutation(len(CLASSES))]
    chosen, rest = np.split(np.array(order), [rng.integers(3, 7)])
    groups = {str(category) in ANIMATE for category in chosen}
    if len(groups) == 1:
        chosen[-1] = next(category for category in rest if (str(category) in ANIMATE) not in groups)
    return [str(category) for category in chosen]


def _place(category: str, area_px2: float, earlier: tuple[Thing, ...], world: World, rng: np.random.Generator) -> Thing:
    """An object somewhere in the frame with little overlap; made smaller until there is room for it."""
    size = np.array([world.width, world.height], dtype=float)
    mirror, tilt = bool(rng.random() < 0.5), float(rng.normal(0, 0.06 if category in UPRIGHT else 0.16))
    look = int(rng.integers(1 << 30))
    unit = placed(category, 1.0, mirror, tilt)
    low, high = unit.min(axis=0), unit.max(axis=0)
    area_px2 = min(area_px2, float(np.min(0.94 * size / (high - low))) ** 2)
    while True:
        half = (high - low) / 2 * np.sqrt(area_px2)
        boxes = rng.uniform(half, size - half, size=(48, 2))
        free = np.flatnonzero(_is_free(boxes, half, area_px2, earlier))
        if len(free):
            box = boxes[free[0]]
            x, y = box - (low + high) / 2 * np.sqrt(area_px2)
            (box_x, box_y), (width, height) = box.tolist(), half.tolist()
            return Thing(category, float(x), float(y), area_px2, mirror, tilt, box_x, box_y, width, height, look)
        area_px2 *= 0.8


def _is_free(
    boxes: Float[np.ndarray, "candidate 2"], half: Float[np.ndarray, "2"], area_px2: float, earlier: tuple[Thing, ...]
) -> Bool[np.ndarray, " candidate"]:
    """Which box centres overlap lightly with the earlier boxes and leave enough of the main object to be seen."""
    if not earlier:
        return np.ones(len(boxes), dtype=bool)
    centre = np.array([(thing.box_x, thing.box_y) for thing in earlier])
    extent = np.array([(thing.half_width, thing.half_height) for thing in earlier])
    reach = np.minimum(boxes[:, None] + half, centre + extent) - np.maximum(boxes[:, None] - half, centre - extent)
    shared = np.prod(np.maximum(reach, 0), axis=2)
    # each of up to five others may hide its part of the main object, so each gets a fifth of what may be hidden
    largest = max([area_px2, *(thing.area_px2 for thing in earlier[1:])])
    spare_px2 = (earlier[0].area_px2 - MAIN_TO_NEXT * largest) / 5
    return (shared.max(axis=1) <= OVERLAP * 4 * np.prod(half)) & (shared[:, 0] <= spare_px2)


def _index(world: World, id: str) -> int:
    number = id.removeprefix("scene-")
    if number == id or not number.isdecimal() or int(number) >= world.images:
        raise InputError(f"The generated world has scenes 'scene-00000' to 'scene-{world.images - 1:05d}', not '{id}'.")
    return int(number)


def _render(world: World, id: str) -> UInt8[np.ndarray, "height width 3"]:
    index = _index(world, id)
    rng = np.random.default_rng([world.seed, index, PAINT])
    return draw_scene(scene(world, index), world.width, world.height, rng)


@lru_cache(maxsize=64)
def _visible(world: World, index: int) -> tuple[tuple[Thing, ...], UInt8[np.ndarray, "height width"]]:
    """The objects of a scene and which of them each pixel shows; the last few scenes are kept."""
    things = scene(world, index)
    return things, draw_masks(things, world.width, world.height)


def _mask(world: World, index: int, k: int) -> Bool[np.ndarray, "height width"]:
    return _visible(world, index)[1] == k + 1


def _find_objects(world: World, id: str) -> tuple[ObjectMask, ...]:
    """The objects of a scene, the main object first, with the pixels that are seen of them."""
    index = _index(world, id)
    things, shown = _visible(world, index)
    areas = np.bincount(shown.ravel(), minlength=len(things) + 1)[1:]
    return tuple(
        ObjectMask(
            id=f"{id}/{k}",
            category=thing.category,
            area_px2=float(areas[k]),
            animate=thing.category in ANIMATE,
            decode=partial(_mask, world, index, k),
        )
        for k, thing in enumerate(things)
    )
