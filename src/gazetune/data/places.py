"""Where the data and weights of the built-in experiments come from: size, licence, place, and how many images."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gazetune.data.fetch import SOURCES


@dataclass(frozen=True)
class Shape:
    """What a model's costs follow from: its parameters, input (height, width), cells of a map, and classes."""

    parameters: int
    learnable: int
    size: tuple[int, int]
    cells: int
    classes: int


@dataclass(frozen=True)
class Place:
    """One thing to get: what it is, how large, under what licence, where, and by which command where there is one.

    images (of each part) and shape are there so that a plan can be made before anything else is.
    """

    what: str
    size: str
    licence: str
    where: str
    command: str = ""
    images: Mapping[str, int] = field(default_factory=dict)
    shape: Shape | None = None
    does: str = "gets it"  # the command

    def lines(self) -> list[str]:
        """In words, for the plan."""
        get = f" ({self.command})" if self.command else " (by hand)"
        return [f"{self.what}: {self.size}; licence: {self.licence}", f"  from {self.where}{get}"]


# by the reader of a data set
DATA: dict[str, Place] = {
    "osie": Place(
        "OSIE, 700 photos and the fixations of 15 people", "51 MB of files that are used", SOURCES["osie"].licence,
        SOURCES["osie"].url, "gazetune fetch osie", {"train": 500, "validation": 100, "test": 100},
    ),
    "salicon": Place(
        "SALICON, gaze on 15,000 photos of COCO", "gaze 1.3 GB, photos 2.4 GB, annotations 253 MB",
        "SALICON states none (research use); COCO's annotations CC BY 4.0, each photo its own Flickr licence",
        "http://salicon.net/download, by browser; the rest from http://images.cocodataset.org",
        "gazetune fetch salicon", {"train": 9_000, "validation": 1_000, "test": 5_000},
        does="gets COCO's part and says which files to get by browser",
    ),
}  # fmt: skip

# by the kind of labelled images
LABELLED: dict[str, Place] = {
    "imagenet": Place(
        "ImageNet-1k, the validation images", "6.7 GB (ILSVRC2012_img_val.tar), development kit 2.6 MB",
        "ImageNet's terms of access (research and teaching, registration)", "https://image-net.org/download",
        images={"test": 50_000},
    ),
    "imagenet_c": Place(
        "ImageNet-C", "the published JPEGs; none needed where corruptions are made in memory of ImageNet's images",
        "CC BY 4.0", "https://github.com/hendrycks/robustness", images={"test": 50_000},
    ),
    "objectnet": Place(
        "ObjectNet, 50,000 photos, about 18,500 of them of ImageNet's classes", "size: see there",
        "CC BY 4.0 with two terms: never tune on it, show single images with their border", "https://objectnet.dev",
        images={"test": 18_500},
    ),
}  # fmt: skip

# by hub name
WEIGHTS: dict[str, Place] = {
    "google/vit-base-patch16-224": Place(
        "ViT-B/16, 86,567,656 parameters", "346 MB", "Apache 2.0",
        "https://huggingface.co/google/vit-base-patch16-224", "fetched when a run first needs it",
        shape=Shape(86_567_656, 28_348_416, (224, 224), 14 * 14, 1000),
    ),
    "microsoft/resnet-50": Place(
        "ResNet-50, 25.6 million parameters", "102 MB", "Apache 2.0",
        "https://huggingface.co/microsoft/resnet-50", "fetched when a run first needs it",
        shape=Shape(25_557_032, 14_964_736, (224, 224), 7 * 7, 1000),
    ),
}  # fmt: skip
