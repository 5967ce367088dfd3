"""Memory that does not grow with the images: what is alive at once, what is read, what is written piece by piece."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gazetune import run as run_module
from gazetune.attention.extract import SHARD, open_maps
from gazetune.biases.kept import keep_objects, kept_columns, kept_names
from gazetune.data.synthetic import World, load_synthetic
from gazetune.maps import Human, upsampled
from gazetune.metrics.score import BATCH, _in_order, by_batch
from gazetune.parity.predict import predictions
from gazetune.prepared import COLUMNS, load_prepared, prepare_points
from gazetune.run import Run
from gazetune.tables.scores import _said
from gazetune.text_columns import coded, decoded, packed, unpacked
from gazetune.training.loss import keep_features, open_features


def test_no_more_batches_are_begun_than_may_wait():
    begun = []

    def part(index):
        begun.append(int(index[0]) // BATCH)
        return index.sum()

    with ThreadPoolExecutor(1) as workers:
        results = _in_order(workers, part, 100 * BATCH, 4)
        assert next(results) == sum(range(BATCH))
    assert begun == [0, 1, 2, 3]  # the other 96 were not handed over yet


def test_results_come_in_the_order_of_the_images_whoever_is_done_first():
    found = by_batch(lambda index: index.tolist(), 3 * BATCH + 1)
    assert [i for part in found for i in part] == list(range(3 * BATCH + 1))


def test_a_table_written_in_pieces_is_the_table_written_whole(tmp_path, monkeypatch):
    run = Run(tmp_path)
    texts = ["=1+1", "plain", None, "-x", "'=y", "a,b", '"']
    table = pd.DataFrame({"image": texts, "x": [1 / 3, np.nan, 1e9, 2, 3, 4, 5], "seed": pd.array([1, None] * 3 + [4])})
    run.write_table("whole", table)
    monkeypatch.setattr(run_module, "CHUNK", 2)
    run.write_table("pieces", table)
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert run.table("pieces")["image"].tolist()[0] == "=1+1"
    run.write_table("none", table.iloc[:0])
    assert (tmp_path / "none.csv").read_text() == "image,x,seed\n"


def test_grids_are_read_from_the_shards_in_any_order(tmp_path):
    run, n = Run(tmp_path), SHARD + 5
    grids = torch.rand(n, 2, 3, generator=torch.Generator().manual_seed(0))
    for k in range(2):
        part = grids[k * SHARD : (k + 1) * SHARD].clone()
        run.write_tensors(f"maps/{k:05d}.safetensors", {"grid": part, "logits": torch.zeros(len(part), 2)}, inputs="")
    for index in (np.array([n - 1, 0, SHARD, SHARD - 1, SHARD]), np.arange(SHARD - 2, n)):  # the second over both files
        assert torch.equal(open_maps(run, "maps", 6)(index), upsampled(grids[torch.from_numpy(index)], 6))


def test_features_are_mapped_from_disk(tmp_path):
    parts = [torch.arange(6.0).view(2, 3), torch.full((1, 3), -1.0)]
    keep_features(tmp_path / "f.npy", iter(parts), 3)
    assert torch.equal(open_features(tmp_path / "f.npy"), torch.cat(parts))
    assert [p.name for p in tmp_path.iterdir()] == ["f.npy"]
    with pytest.raises(ValueError, match="4 images"):
        keep_features(tmp_path / "g.npy", iter(parts), 4)


def test_pieces_with_other_columns_are_one_table(tmp_path):
    run = Run(tmp_path)
    parts = [pd.DataFrame({"image": ["a"], "x": [1.5]}), pd.DataFrame({"image": ["b\r"], "y": [2.25]})]
    run.write_pieces("pieces", lambda: iter(parts))
    run.write_table("whole", pd.concat(parts))
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "pieces.csv").read_bytes() == b'"image","x","y"\n"a","1.5",""\n"b\r","","2.25"\n'


def test_texts_as_tensors():
    texts = ["ab", "", "ä\ud800", "ab"]
    tensors = packed("name", texts)
    assert tensors["name_bounds"].tolist() == [0, 2, 2, 7, 9] and unpacked("name", tensors) == texts
    assert unpacked("none", packed("none", [])) == []
    assert decoded(coded(texts, texts[:3]), texts[:3]).tolist() == texts


def test_what_a_run_of_an_older_version_keeps_in_the_header_is_read(tmp_path):
    world = load_synthetic(World(images=6))
    run, parts = Run(tmp_path), ("train", "validation", "test", "test", "train", "test")
    prepare_points(run, "new", world, parts, Human(sigma_px=2.0), 32)
    new = load_prepared(run, "new", [])
    tensors = {name: run.tensors("stimuli/new.safetensors")[name] for name in COLUMNS}
    table = {name: new.table[name].tolist() for name in new.table if name != "reason"}
    shown = [new.categories.query("image == @i")["category"].tolist() for i in world.ids]
    assert shown == [sorted({o.category for o in world.find_objects(i)}) for i in world.ids]
    said = run.about("stimuli/new.safetensors")
    about = {key: said[key] for key in ("size", "classes", "citation", "observers", "left_out")} | {"categories": shown}
    run.write_tensors("stimuli/old.safetensors", tensors, table=table, **about)
    old = load_prepared(run, "old", [])
    pd.testing.assert_frame_equal(old.table, new.table, check_dtype=False)
    pd.testing.assert_frame_equal(old.categories, new.categories)
    # what says the same stays as it is, since a training depends on its bytes; what says something else does not
    file = run.file("stimuli/old.safetensors")
    before = file.read_bytes()
    prepare_points(run, "old", world, parts, Human(sigma_px=2.0), 32)
    assert file.read_bytes() == before
    prepare_points(run, "old", world, ("test", *parts[1:]), Human(sigma_px=2.0), 32)
    assert run.about("stimuli/old.safetensors")["splits"][0] == "test"
    kept, header = keep_objects(world, 32)
    columns, names = kept_columns(kept, header), kept_names(kept, header)
    rows = [list(row) for row in zip(*(of.tolist() for of in columns.values()), strict=True)]
    assert len(rows) == sum(len(scene.objects) for scene in world)
    older = {"images": names, "objects": json.loads(json.dumps(rows)), "size": 32}
    for name, column in kept_columns({}, older).items():
        assert column.tolist() == columns[name].tolist()
    assert tuple(kept_names({}, older)) == world.ids


def test_predictions_are_read_shard_by_shard_as_if_from_one(tmp_path):
    run, n = Run(tmp_path), 2 * SHARD + 3
    logits = torch.rand(n, 7, generator=torch.Generator().manual_seed(0))
    for k, part in enumerate(logits.split(SHARD)):
        run.write_tensors(f"maps/{k:05d}.safetensors", {"grid": torch.zeros(len(part), 1, 1), "logits": part.clone()})
    rows = np.array([0, SHARD - 1, 2 * SHARD, n - 1])  # none of the second shard
    right = np.array([0, 1, 2, 3])
    pd.testing.assert_frame_equal(_said(run, "maps", rows, right), predictions(logits[torch.from_numpy(rows)], right))


@pytest.mark.slow
def test_the_bench_runs_on_small_worlds(tmp_path):
    folder, script = tmp_path / "world", [sys.executable, "bench/growth.py"]
    folder.mkdir()
    root = Path(__file__).parents[1]
    for step in ("build", "score"):
        line = [*script, "--do", step, "--in", str(folder), "--of", "20"]
        done = subprocess.run(line, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seconds"] > 0
    assert len(pd.read_csv(folder / "run" / "scores" / "synthetic.csv").query("model == 'before'")) == 20
