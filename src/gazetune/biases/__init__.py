"""Do models share people's biases? Attention on region A against region B, and how sparse it is."""

from gazetune.biases.animacy import ANIMACY
from gazetune.biases.object_size import OBJECT_SIZE
from gazetune.biases.settings import Contrast, Region

__all__ = ["ANIMACY", "BIASES", "OBJECT_SIZE", "Contrast", "Region"]

BIASES: dict[str, Contrast] = {"animacy": ANIMACY, "object_size": OBJECT_SIZE}
