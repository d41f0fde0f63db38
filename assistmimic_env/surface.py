"""Triangle meshes: the volume that one encloses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ids = NDArray[np.intp]


def enclosed_volume(vertices: Array, faces: Ids) -> float:
    """Volume inside a mesh, by the divergence theorem: the sum of a . (b x c) / 6 over its triangles.

    Holes are closed by fans around the mean of their rims, so that the result does not depend on the origin. Closed
    parts add up, also where one lies inside another.

    Args:
        vertices: Shape (V, 3) [m].
        faces: Triangles, counter-clockwise from outside, shape (F, 3).

    Returns:
        [m^3]; negative if the triangles are clockwise.
    """
    corners = np.concatenate([vertices[faces], _caps(vertices, faces)])
    return float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0)


def _caps(vertices: Array, faces: Ids) -> Array:
    """Corners of the triangles that close the holes, shape (edges, 3, 3)."""
    rim = _open_edges(faces, len(vertices))
    if len(rim) == 0:
        return np.empty((0, 3, 3))
    hole = _connected(rim, len(vertices))[rim[:, 0]]
    total, count = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    np.add.at(total, hole, vertices[rim[:, 0]])
    np.add.at(count, hole, 1.0)
    centre = total[hole] / count[hole, None]
    return np.stack([vertices[rim[:, 1]], vertices[rim[:, 0]], centre], axis=1)


def _open_edges(faces: Ids, count: int) -> Ids:
    """Directed edges (start, end) of triangles that no other triangle passes the other way, shape (edges, 2)."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    there, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    return edges[~np.isin(there, back)].astype(np.intp)


def _connected(edges: Ids, count: int) -> Ids:
    """The smallest vertex that each vertex is connected to along edges, shape (count,)."""
    label = np.arange(count)
    while True:
        least = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        lower = label.copy()
        np.minimum.at(lower, edges[:, 0], least)
        np.minimum.at(lower, edges[:, 1], least)
        lower = lower[lower]
        if np.array_equal(lower, label):
            return label
        label = lower
