"""The readers that are fuzzed: for each how its good files are written, how a case spoils them, and what reads them."""

import sys

import fuzz_models as models
import fuzz_mutate as m
import fuzz_pictures as pictures
import fuzz_sets as sets
import fuzz_study as study
from fuzz_reader import Reader, json_of, one_of

READERS: dict[str, Reader] = {
    "fixations.csv": Reader(study.write_table, study.spoil_table, study.read_table, 14),
    "objects.csv": Reader(study.write_table, study.spoil_objects, study.read_table, 8),
    "labels, classes, class map": Reader(
        study.write_table, one_of("[lcm]*.[ct][sx][vt]", m.table, m.any_bytes, m.numbers), study.read_labels, 8
    ),
    "SALICON JSON": Reader(sets.write_salicon, one_of("fix*", json_of), sets.read_salicon, 10),
    "SALICON JSON, kept columns": Reader(
        sets.write_columns, one_of(".fix*", m.any_bytes, m.safetensors_header), sets.read_salicon, 3
    ),
    "COCO JSON": Reader(sets.write_salicon, one_of("inst*", json_of), sets.read_coco, 10),
    ".mat (SALICON, OSIE, ImageNet)": Reader(sets.write_mats, sets.spoil_mat, sets.read_mats, 9),
    "ObjectNet's mapping": Reader(sets.write_mapping, sets.spoil_mapping, sets.read_mapping, 3),
    "YAML (experiment, tolerances)": Reader(study.write_settings, study.spoil_settings, study.read_settings, 8),
    "photos": Reader(pictures.write_photos, pictures.spoil_photo, pictures.read_photo, 10),
    "ready-made maps PNG, NPY": Reader(pictures.write_maps, pictures.spoil_map, pictures.read_maps, 7),
    "files of a run": Reader(models.write_tensors, models.spoil_tensors, models.read_tensors, 6),
    "model folders, state_dict": Reader(models.write_models, models.spoil_model, models.read_model, 6),
    "archives": Reader(models.write_archives, models.spoil_archive, models.read_archive, 4),
}
sys.setrecursionlimit(1000)  # as a user's
