"""Worlds that nobody drew: random fleets, broken at random, brought back by an operator who follows the product's hints only."""
