"""Other people's motion files as `Take`s: one module per format, all found by name.

`take` is the contract, `conventions` and `skeletons` are what the formats share. Nothing here puts motion on a body;
that is `importing`'s job.
"""
