"""The Runtime API and the Extensions API, as one environment of the local Lambda serves them."""
