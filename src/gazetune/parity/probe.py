"""temporary"""
import numpy as np, pandas as pd
def probe(features, answers, reference, folds=5, seed=0): raise NotImplementedError
