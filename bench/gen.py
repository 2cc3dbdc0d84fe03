"""gen.py ROWS OUT.csv [SHEETS]: the same bytes everywhere. id,name,sheet,x,y,a,b in UTF-8, x and y in EPSG:5179, about 80 bytes a row."""
import random
import sys

rows, out = int(sys.argv[1]), sys.argv[2]
sheets = int(sys.argv[3]) if len(sys.argv) > 3 else 5
PLACES = ["은하구 샛별동", "한빛구 나루동", "푸른구 솔밭동", "가온시 물길동", "다솜시 바위동", "누리시 들녘동", "도담구 언덕동", "미르시 고개동"]
KINDS = ["도서관", "약국", "학교", "주차장", "공원", "체육관", "우체국"]
rng = random.Random(5179)
u = rng.random
with open(out, "w", encoding="utf-8", newline="") as f:
    f.write("id,name,sheet,x,y,a,b\n")
    for i in range(1, rows + 1):
        name = f"{PLACES[int(u() * 8)]} {KINDS[int(u() * 7)]} {int(u() * 9000) + 1}"
        sheet = f"구역{int(u() * sheets) + 1}"
        f.write(f"{i},{name},{sheet},{880000 + u() * 300000:.3f},{1620000 + u() * 440000:.3f},{int(u() * 100000)},{u() * 1000:.2f}\n")
