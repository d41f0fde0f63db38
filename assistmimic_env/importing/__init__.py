"""From a `Take` (what a file says about two people) to a `PairClip` that can be simulated, one or a whole folder."""
