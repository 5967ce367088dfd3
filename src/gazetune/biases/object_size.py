"""Object size: is more attention on each pixel of small objects than of large ones?"""

from gazetune.biases.settings import Contrast, Region

# COCO's bounds, 32^2 and 96^2; the bounds themselves are medium. Lin et al. (2014), ECCV, 740-755; the paper's.
SMALL_BELOW_PX2, LARGE_ABOVE_PX2 = 1024.0, 9216.0

SMALL = Region(area_below_px2=SMALL_BELOW_PX2, label="small")
MEDIUM = Region(area_from_px2=SMALL_BELOW_PX2, area_to_px2=LARGE_ABOVE_PX2, label="medium")
LARGE = Region(area_above_px2=LARGE_ABOVE_PX2, label="large")

OBJECT_SIZE = Contrast(a=SMALL, b=LARGE, also={"medium": MEDIUM}, density="per_object", least_objects=2)
