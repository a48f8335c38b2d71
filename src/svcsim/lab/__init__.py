"""Experiments: clusters to measure with, what a look-up and a change cost, fairness as numbers, plots."""
