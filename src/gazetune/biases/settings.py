"""What is compared with what: a contrast of two regions, as a YAML file or a definition of this package says it."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

HALVES = ("left", "right", "top", "bottom")
REST = "rest"
# YAML reads a single name as text; a list of letters is never meant
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(_Frozen):
    """Part of an image: the visible pixels of the objects that fulfil every condition given, or half of the image.

    categories: names as in the annotations. animate: as the data set says of the object. area_below_px2 and
    area_above_px2 leave the bound itself out, area_from_px2 and area_to_px2 include it; areas are those of the
    annotation, in pixels of the original image. half: left, right, top or bottom of the map.
    """

    categories: Names | None = Field(default=None, min_length=1)
    animate: bool | None = None
    area_below_px2: float | None = Field(default=None, gt=0)
    area_above_px2: float | None = Field(default=None, ge=0)
    area_from_px2: float | None = Field(default=None, ge=0)
    area_to_px2: float | None = Field(default=None, gt=0)
    half: Literal["left", "right", "top", "bottom"] | None = None
    label: str = ""

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Region":
        given = [name for name, value in self if value is not None and name != "label"]
        if not given:
            raise ValueError("a region needs categories, animate, an area or half")
        if self.half is not None and len(given) > 1:
            raise ValueError("half is the whole half of the image and cannot be combined with a choice of objects")
        return self

    @property
    def name(self) -> str:
        """The label, or what the conditions say."""
        kind = {True: "animate", False: "inanimate", None: ""}[self.animate]
        areas = {"<": self.area_below_px2, ">": self.area_above_px2, ">=": self.area_from_px2, "<=": self.area_to_px2}
        bounds = [f"{sign} {bound:g} px2" for sign, bound in areas.items() if bound is not None]
        return self.label or " ".join(filter(None, [", ".join(self.categories or ()), kind, *bounds, self.half]))


class Contrast(_Frozen):
    """Attention density of region `a` less that of region `b`, image by image.

    b: another region, or `rest`, all pixels that are not in `a`. density: `pooled`, all pixels of a region together, or
    `per_object`, the mean over the region's objects of each one's own density. drop_images_with: categories whose
    images are left out whole. least_objects: images with fewer annotated objects are left out. also: further regions
    whose densities are reported and compared between models.
    """

    a: Region
    b: Region | Literal["rest"] = "rest"
    density: Literal["pooled", "per_object"] = "pooled"
    drop_images_with: Names = ()
    least_objects: int = Field(default=0, ge=0)
    also: dict[str, Region] = {}

    @model_validator(mode="after")
    def _can_be_measured(self) -> "Contrast":
        regions = [self.a, *([self.b] if isinstance(self.b, Region) else []), *self.also.values()]
        if self.density == "per_object" and (self.b == REST or any(r.half for r in regions)):
            raise ValueError("density per_object needs regions of objects; the rest and halves of an image have none")
        if len(self.regions) < len(regions) + (self.b == REST):
            raise ValueError("two regions have the same name; give them a label")
        return self

    @property
    def regions(self) -> dict[str, "Region | Literal['rest']"]:
        """All regions by name: a, b and the others, in this order."""
        second = REST if isinstance(self.b, str) else self.b.name
        return {self.a.name: self.a, second: self.b, **self.also}

    @property
    def names(self) -> tuple[str, str]:
        """What the two regions are called."""
        first, second, *_ = self.regions
        return first, second
