"""Simulated observers of the generated world: whom they prefer to look at is set, so it can be recovered."""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gazetune.data.drawing import Thing, silhouette
from gazetune.data.silhouettes import ANIMATE, CLASSES
from gazetune.data.stimuli import Fixations

CENTRE, ANYWHERE = -1, -2  # what a fixation is for, where it is for no object


class Observers(BaseModel):
    """Simulated observers, whose preferences are known because they are set here.

    Each fixation is, with probability `centre_bias`, a Gaussian about the centre of the frame (SD 1/6 of each side);
    with probability `explore`, uniform over the frame; else it goes to one object o of the scene, chosen by observer p
    with probability

        P(o | p)  ~  exp(animacy * [o is animate] + size * small_o + taste_p(category of o))
        small_o   =  clip(ln(9216 / area_o) / ln 9, 0, 1)      1 up to 1024 px2, 0 from 9216 px2 (COCO's bounds)
        taste_p   ~  Normal(0, idiosyncrasy), once for each observer and category, centred over the observers

    and lands at a Gaussian about the object's centroid, whose SD is `spread` times that of the object's pixels, across
    and down. Areas are those of the whole object, also of what is hidden. A point outside the frame is drawn again.
    The number of fixations is Poisson(`fixations`), at least 1; durations are log-normal (median 230 ms) with saccades
    of 20 to 60 ms between; the order is unrelated to the place.

    At animacy = 0 and size = 0 the observers as a group choose all objects of a scene equally often, whatever their
    kind and area. A pixel of a small object then still gets more fixations than a pixel of a large one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(15, ge=1, le=1000, description="observers; all see all images")
    fixations: float = Field(10.0, gt=0, le=200, description="mean number of fixations of an observer on an image")
    centre_bias: float = Field(0.2, ge=0, le=1, description="share of fixations near the centre of the frame")
    explore: float = Field(0.1, ge=0, le=1, description="share of fixations anywhere in the frame")
    animacy: float = Field(1.0, ge=-5, le=5, description="log-weight of animate objects; 0: none, below 0: inanimate")
    size: float = Field(0.5, ge=-5, le=5, description="log-weight of small objects; 0: none, below 0: large objects")
    idiosyncrasy: float = Field(0.5, ge=0, le=5, description="SD of an observer's own log-weight of a category")
    spread: float = Field(0.55, gt=0, le=3, description="SD of the landing point, in SDs of the object's pixels")

    @model_validator(mode="after")
    def _shares_leave_room(self) -> "Observers":
        if self.centre_bias + self.explore > 1:
            raise ValueError("centre_bias + explore must be at most 1: they are shares of the fixations")
        return self


def tastes(who: Observers, rng: np.random.Generator) -> Float[np.ndarray, "observer category"]:
    """Each observer's own log-weight of each category; their mean over observers is 0, so the group has none."""
    taste = rng.normal(size=(who.count, len(CLASSES)))
    return who.idiosyncrasy * (taste - taste.mean(axis=0))


def gaze(
    who: Observers,
    taste: Float[np.ndarray, "observer category"],
    things: tuple[Thing, ...],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Fixations:
    """Where all observers look in one scene of `size` = (width, height) pixels."""
    width, height = size
    number = np.maximum(1, rng.poisson(who.fixations, size=who.count))
    observer = np.repeat(np.arange(who.count), number)
    order = np.arange(len(observer)) - np.repeat(np.cumsum(number) - number, number)
    chosen = _choose(who, things, taste, observer, rng)
    centre = np.array([[width / 2, height / 2], *((thing.x, thing.y) for thing in things)])
    extent = np.array([silhouette(t.category).sd for t in things]) * np.sqrt([[t.area_px2] for t in things])
    sd = np.concatenate([[[width / 6, height / 6]], who.spread * extent])
    xy = _land(centre[chosen + 1], sd[chosen + 1], chosen == ANYWHERE, size, rng)
    duration = 230 * np.exp(0.35 * rng.normal(size=len(observer)))
    passed = np.cumsum(duration + rng.uniform(20, 60, size=len(observer)))
    before = np.concatenate([[0.0], passed[:-1]])
    onset = before - np.repeat(before[np.cumsum(number) - number], number)
    return Fixations(
        x=xy[:, 0],
        y=xy[:, 1],
        observer=observer.astype(np.int16),
        order=order.astype(np.int16),
        onset_ms=onset.astype(np.float32),
        duration_ms=duration.astype(np.float32),
    )


def _choose(
    who: Observers,
    things: tuple[Thing, ...],
    taste: Float[np.ndarray, "observer category"],
    observer: Int[np.ndarray, " fixation"],
    rng: np.random.Generator,
) -> Int[np.ndarray, " fixation"]:
    """What each fixation is for: the index of an object, CENTRE or ANYWHERE."""
    animate = np.array([thing.category in ANIMATE for thing in things], dtype=float)
    small = np.clip(np.log(9216 / np.array([thing.area_px2 for thing in things])) / np.log(9), 0, 1)
    weight = np.exp(who.animacy * animate + who.size * small + taste[:, [CLASSES.index(t.category) for t in things]])
    upto = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    chosen = (rng.random((len(observer), 1)) >= upto[observer, :-1]).sum(axis=1)
    kind = rng.random(len(observer))
    return np.where(kind < who.centre_bias, CENTRE, np.where(kind < who.centre_bias + who.explore, ANYWHERE, chosen))


def _land(
    centre: Float[np.ndarray, "fixation 2"],
    sd: Float[np.ndarray, "fixation 2"],
    anywhere: Bool[np.ndarray, " fixation"],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "fixation 2"]:
    """Landing points in pixels; those outside are drawn again, since clipping would pile them up at the border."""
    xy = np.full(centre.shape, -1, dtype=np.float32)
    while True:
        # compared as float32, in which 319.99999 rounds to 320
        outside = np.flatnonzero(((xy < 0) | (xy >= np.array(size, dtype=np.float32))).any(axis=1))
        if not len(outside):
            return xy
        normal = rng.normal(centre[outside], sd[outside])
        uniform = rng.uniform(0, size, size=normal.shape)
        xy[outside] = np.where(anywhere[outside, None], uniform, normal)
