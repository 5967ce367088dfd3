"""Animacy: is more attention on people and animals than on other things?"""

from gazetune.biases.settings import Contrast, Region
from gazetune.data.coco import AMBIGUOUS

ANIMACY = Contrast(
    a=Region(animate=True, label="animate"),
    b=Region(animate=False, label="inanimate"),
    drop_images_with=AMBIGUOUS,  # a picture or toy of a living thing, or a living thing that is none
)
