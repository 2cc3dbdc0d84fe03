#!/usr/bin/env python3
"""Writes points.csv: what PROJ itself makes of points, by its own choice among the operations between two CRSs (pyproj, without any grid).

Usage: pip install pyproj==3.7.2 && tests/operations/points.py > tests/operations/points.csv
A line: from, to, x, y (east, north), the same in the target, the operation that PROJ took there; "ballpark" where it ignored the datum shift.
"""

import warnings

import pyproj
from pyproj import CRS, Transformer
from pyproj.transformer import TransformerGroup

KOREAN = ["5174", "2097", "5181", "5186", "5179", "5175", "4162", "4301"]
FOREIGN = ["27700", "4267", "4230", "31370", "2326", "3857", "28992", "5514", "4312", "23030", "4202", "27200"]
PAIRS = [(source, target) for source in KOREAN for target in ("4326", "5186") if source != target]
PAIRS += [(source, "4326") for source in FOREIGN] + [("4326", "27700"), ("4267", "3857"), ("4326", "4230")]

# Points of their own, in degrees of WGS 84: where areas of use meet, and where none is.
PLACES = {
    "5514": [(14.42, 50.08), (17.11, 48.15), (18.0, 49.0), (21.3, 48.7)],
    "27700": [(-0.12, 51.5), (-3.2, 55.9), (-6.2, 53.3), (-1.2, 60.3), (1.5, 58.0), (-7.0, 57.0)],
    "4301": [(126.98, 37.57), (139.7, 35.7), (127.7, 26.2), (142.0, 43.0), (131.0, 33.1), (152.0, 24.0)],
    "4267": [(-98.5, 39.2), (-113.5, 53.5), (-149.9, 61.2), (-99.1, 19.4), (-82.4, 23.1), (-66.1, 18.4), (-45.0, 60.2)],
    "4230": [(2.35, 48.85), (-3.7, 40.4), (10.75, 59.9), (29.0, 41.0), (23.7, 38.0), (33.4, 35.1), (-8.6, 41.1), (31.2, 30.0)],
    "4202": [(149.1, -35.3), (115.9, -32.0), (147.3, -42.9), (130.8, -12.5), (147.2, -9.4)],
}


def places(source, target):
    """Over the area that both have, and the places of their own."""
    own = PLACES.get(source) or PLACES.get(target) or []
    areas = [CRS(f"EPSG:{code}").area_of_use.bounds for code in (source, target)]
    areas = [area for area in areas if area[2] - area[0] < 360] or [(-180, -80, 180, 80)]
    areas = [(w, s, e if w <= e else e + 360, n) for w, s, e, n in areas]
    west, south = (max(area[side] for area in areas) for side in (0, 1))
    east, north = (min(area[side] for area in areas) for side in (2, 3))
    yield from own
    for across in (1, 3, 5):
        for up in (1, 3, 5):
            longitude = west + (east - west) * across / 6
            yield longitude - 360 * (longitude > 180), south + (north - south) * up / 6


def operation(transformer):
    steps = transformer.get_last_used_operation().description.split(" + ")
    return " + ".join(step for step in steps if step != "axis order change (2D)").replace("Null geographic offset", "")


warnings.simplefilter("ignore")
print(f"# pyproj {pyproj.__version__}, PROJ {pyproj.proj_version_str}; written by points.py")
for source, target in PAIRS:
    transformer = Transformer.from_crs(f"EPSG:{source}", f"EPSG:{target}", always_xy=True)
    there = Transformer.from_crs("EPSG:4326", f"EPSG:{source}", always_xy=True)
    for lon, lat in places(source, target):
        x, y = there.transform(lon, lat)
        decimals = 6 if CRS(f"EPSG:{source}").is_geographic else 2
        x, y = round(x, decimals), round(y, decimals)
        there_x, there_y = transformer.transform(x, y)
        taken = operation(transformer)
        taken = "ballpark" if "allpark" in taken else taken
        print(f"EPSG:{source},EPSG:{target},{x!r},{y!r},{there_x!r},{there_y!r},{taken}")
