"""Points of the design space: the lattice, distributions, observations, dominance and fronts."""
