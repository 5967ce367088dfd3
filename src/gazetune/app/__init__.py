"""The live page, `gazetune app RUN`: drop in a photo, see where every model of a run looks and what it says."""
