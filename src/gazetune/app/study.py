"""The run's own test images: what people looked at, and how well a map agrees with that."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32

from gazetune.app.photos import Photo, photo_of
from gazetune.errors import InputError
from gazetune.job import Job
from gazetune.maps import Points, densities, min_max
from gazetune.metrics.score import score_points
from gazetune.prepared import Prepared, decoded_name, unreadable_name
from gazetune.priors import Priors, of_others, of_training, one_each
from gazetune.tables.rows import MEAN_MAP, OTHERS, ROWS

Map = Float32[np.ndarray, "size size"]


@dataclass(frozen=True)
class People:
    """Where people looked in one image: density 0..1 (None without a fixation), fixations in shares of the image.

    x, y: from the top left, 0..1, at the middle of the map's cell.
    """

    density: Map | None
    x: Float[np.ndarray, " fixation"]
    y: Float[np.ndarray, " fixation"]
    observers: int


class StudyImages:
    """The test images of one data set of a run; what they need of other images is computed when first asked for."""

    def __init__(self, job: Job, name: str) -> None:
        self.name, self._job = name, job
        self._data: Prepared = job.prepared(name)
        self._rows = self._data.rows("test")
        self._points: Points = self._data.points.take(self._rows)
        self.images: tuple[str, ...] = tuple(str(i) for i in self._data.table["image"].iloc[self._rows])
        self._place = {image: i for i, image in enumerate(self.images)}

    def __contains__(self, image: object) -> bool:
        return image in self._place

    @property
    def size(self) -> int:
        """Side of the map grid in pixels."""
        return self._points.size

    def photo(self, image: str) -> Photo:
        """The photo as the run keeps it, at the models' input sizes. Raises InputError for an unknown image."""
        row = int(self._rows[self._at(image)])
        about = self._data.table.iloc[row]
        inputs = {
            size: np.array(self._data.pixels(size)[row]).transpose(1, 2, 0) for size in set(self._job.sizes.values())
        }
        largest = max(inputs.values(), key=lambda pixels: pixels.size)
        return photo_of(largest, image, int(about["width"]), int(about["height"]), inputs)

    def people(self, image: str) -> People:
        """Where people looked in an image."""
        points = self._points.take(np.array([self._at(image)]))
        density = densities(points)[0].numpy()
        return People(
            None if np.isnan(density).any() else density,
            (points.column + 0.5) / self.size,
            (points.row + 0.5) / self.size,
            len(np.unique(points.observer)),
        )

    def prior(self, image: str) -> tuple[str, Map | None]:
        """The mean map of other images, 0..1, which never saw this one, and what it is called."""
        found = min_max(self._priors.mean_map(np.array([self._at(image)])))[0].float().numpy()
        return ROWS[MEAN_MAP if self._priors.from_training else OTHERS], None if np.isnan(found).any() else found

    def scores(self, image: str, shown: Map) -> pd.Series:
        """Every metric of the run of one map against this image's fixations, and `reason` where one is missing."""
        here = np.array([self._at(image)])
        one = torch.from_numpy(shown)[None]
        return score_points(
            lambda _: one, self._points.take(here), one_each(self._priors, here), self._job.metrics
        ).iloc[0]

    @cached_property
    def _priors(self) -> Priors:
        main = self._data if self.name == self._job.main else self._job.prepared(self._job.main)
        seen = main.points.take(main.rows("train"))
        return of_training(seen) if len(seen) else of_others(self._points)

    def _at(self, image: str) -> int:
        if image not in self._place:
            raise InputError(f"'{image}' is no test image of '{self.name}'.")
        return self._place[image]


def study_images(job: Job) -> tuple[dict[str, StudyImages], str]:
    """The data sets of a run whose test images can be shown, the run's own first; without any, why not."""
    if job.experiment.data is None:
        return {}, "This run has no images with fixations."
    names = [s.removeprefix("fixations/") for s in job.run.stages() if s.startswith("fixations/")]
    found, missing = {}, ""
    for name in sorted(names, key=lambda name: name != job.main):
        if not all(_is_there(job, name, size) for size in set(job.sizes.values())):
            missing = (
                f"The run does not hold the photos of '{name}' (its cache was deleted, or an older version made it)."
            )
            continue
        try:
            images = StudyImages(job, name)
        except InputError as reason:
            missing = str(reason)
            continue
        if images.images:
            found[name] = images
    return found, "" if found else missing or "The run has not come as far as its test images."


def _is_there(job: Job, name: str, size: tuple[int, int]) -> bool:
    return all(job.run.file(part(name, size)).is_file() for part in (decoded_name, unreadable_name))
