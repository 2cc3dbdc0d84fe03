"""rust_xlsxwriter.py IN.csv OUT.xlsx: the quickest convert that a Python user can write: polars, pyproj, and rust_xlsxwriter behind Python."""
import sys

import polars as pl
from pyproj import Transformer
from rustpy_xlsxwriter import write_worksheets

df = pl.read_csv(sys.argv[1])
lon, lat = Transformer.from_crs(5179, 4326, always_xy=True).transform(df["x"].to_numpy(), df["y"].to_numpy())
df = df.with_columns(lon=pl.Series(lon).round(9), lat=pl.Series(lat).round(9))
parts = sorted((key[0], part) for key, part in df.partition_by("sheet", as_dict=True).items())
sheets = [(name, part.iter_rows(named=True)) for name, part in parts]
write_worksheets(sheets, sys.argv[2], freeze_panes={"general": {"row": 1, "col": 0}}, bold_headers=True)
