"""Animacy: is more attention on people and animals than on other things?"""

from gazetune.biases.settings import Contrast, Region

# Images with one of these are left out whole: a picture or a toy of a living thing, or a living thing that is none
# (the paper's list, section "Animacy bias").
AMBIGUOUS = ("tv", "laptop", "cell phone", "teddy bear", "potted plant")

ANIMACY = Contrast(
    a=Region(animate=True, label="animate"),
    b=Region(animate=False, label="inanimate"),
    drop_images_with=AMBIGUOUS,
)
