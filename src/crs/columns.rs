//! Finds the columns of a table that contain coordinates: by the names that portals give them, else by their values. Names may name a CRS, too.

use super::KATEC;
use super::systems::system;
use crate::record::is_no_value;

/// The columns of a table that hold coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoordinateColumns {
    /// Column of x: longitude or easting, as far as its name says so.
    pub x: usize,
    /// Column of y.
    pub y: usize,
    /// Whether the names say so; else only the values do.
    pub by_name: bool,
}

/// Names of the columns x and y, written without blanks, signs and the name of a CRS. Degrees come first: they need no guess.
const PAIRS: [(&str, &str); 50] = [
    ("경도", "위도"),
    ("longitude", "latitude"),
    ("lon", "lat"),
    ("lng", "lat"),
    ("long", "lat"),
    ("logt", "lat"),
    ("경도값", "위도값"),
    ("동경", "북위"),
    ("x좌표", "y좌표"),
    ("좌표x", "좌표y"),
    ("좌표정보x", "좌표정보y"),
    ("엑스좌표", "와이좌표"),
    ("엑스좌표값", "와이좌표값"),
    ("x좌표값", "y좌표값"),
    ("x축좌표", "y축좌표"),
    ("x축", "y축"),
    ("x값", "y값"),
    ("위치x", "위치y"),
    ("지도x", "지도y"),
    ("중심x", "중심y"),
    ("중심좌표x", "중심좌표y"),
    ("x중심좌표", "y중심좌표"),
    ("동향", "북향"),
    ("동거리", "북거리"),
    ("횡좌표", "종좌표"),
    ("x", "y"),
    ("xcoord", "ycoord"),
    ("xcoordinate", "ycoordinate"),
    ("coordx", "coordy"),
    ("xcrd", "ycrd"),
    ("xcrdnt", "ycrdnt"),
    ("xcnts", "ydnts"),
    ("xpos", "ypos"),
    ("posx", "posy"),
    ("pointx", "pointy"),
    ("mapx", "mapy"),
    ("gpsx", "gpsy"),
    ("gislongitude", "gislatitude"),
    ("lo", "la"),
    ("centerx", "centery"),
    ("easting", "northing"),
    ("eastings", "northings"),
    ("east", "north"),
    ("e", "n"),
    ("x좌표경도", "y좌표위도"),
    ("경도x", "위도y"),
    ("länge", "breite"),
    ("längengrad", "breitengrad"),
    ("longitud", "latitud"),
    ("rechtswert", "hochwert"),
];
/// Of them, those that may follow the name of what is there: `주차장경도`, `start_lon`.
const BEHIND_NAMES: usize = 11;
/// Words about coordinates that do not say which axis they are.
const NOISE: [&str; 22] = [
    "wgs84",
    "wgs",
    "grs80",
    "utmk",
    "katec",
    "bessel",
    "refine",
    "좌표계",
    "tm",
    "decimal",
    "degree",
    "m단위",
    "gps",
    "도분초",
    "dms",
    "세계측지계",
    "중부원점",
    "서부원점",
    "동부원점",
    "동해원점",
    "단일원점",
    "좌표",
];
/// Units, as words of their own.
const UNITS: [&str; 14] = [
    "m",
    "meter",
    "meters",
    "metre",
    "metres",
    "미터",
    "deg",
    "degree",
    "degrees",
    "dd",
    "도",
    "십진도",
    "epsg",
    "srid",
];
/// Rows that are looked at.
const ROWS_MAX: usize = 200;

/// Finds them; of several pairs the one that holds most numbers, of equal ones the one of degrees, then the first.
pub fn coordinate_columns(header: &[String], rows: &[Vec<String>]) -> Option<CoordinateColumns> {
    let names: Vec<[String; 4]> = header.iter().map(|name| spellings(name)).collect();
    let of_name = |name: &str| (0..4).find_map(|at| names.iter().position(|spellings| spellings[at] == name));
    let mut best: Option<(f64, CoordinateColumns)> = None;
    let behind_name = |(x, y): (&str, &str)| {
        let place = |wanted: &str| names.iter().position(|[plain, ..]| plain == wanted);
        names
            .iter()
            .enumerate()
            .find_map(|(at, [plain, ..])| Some((at, place(&format!("{}{y}", plain.strip_suffix(x)?))?)))
    };
    for (number, pair) in PAIRS.into_iter().enumerate() {
        let found = of_name(pair.0).zip(of_name(pair.1));
        let Some((x, y)) = found.or_else(|| behind_name(pair).filter(|_| number < BEHIND_NAMES)) else { continue };
        let numbers = share_of_numbers(rows, x).min(share_of_numbers(rows, y));
        if x != y && best.is_none_or(|(share, _)| numbers > share + 0.1) {
            best = Some((numbers, CoordinateColumns { x, y, by_name: true }));
        }
    }
    let named = best.filter(|(share, _)| rows.is_empty() || *share > 0.0).map(|(_, found)| found);
    named.or_else(|| by_values(header.len(), rows))
}

/// The CRS that the name of a column names: `좌표정보x(epsg5174)`, `x_5186`, `lon (WGS84)`. Licence registers, whose columns are `좌표정보(X)`, are
/// published in EPSG:5174.
pub fn named_system(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let codes = lower.split(|c: char| !c.is_ascii_digit()).filter(|digits| (4..=5).contains(&digits.len()));
    let is_year = |code: u32| !lower.contains("epsg") && (1990..2040).contains(&code);
    let code = codes.filter_map(|digits| digits.parse().ok()).find(|code| !is_year(*code) && system(*code).is_some());
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    let words = [
        ("utmk", 5179),
        ("단일원점", 5179),
        ("utm52", 32652),
        ("utm51", 32651),
        ("lambert93", 2154),
        ("webmercator", 3857),
        ("좌표정보", 5174),
    ];
    let is_degree = || ["경도", "위도", "lon", "lat", "lng"].iter().any(|word| plain.contains(word));
    let code = code.or_else(|| words.iter().find(|(word, _)| plain.contains(word)).map(|(_, code)| *code));
    let code = code.or_else(|| is_degree().then_some(4326));
    match code {
        Some(code) => Some(format!("EPSG:{code}")),
        None => plain.contains("katec").then(|| KATEC.to_owned()),
    }
}

/// A coordinate as people write it: a decimal number, thousands set apart by commas, or a decimal comma that is no such.
pub fn number(cell: &str) -> Option<f64> {
    let text = cell.trim();
    let grouped = || {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let mut groups = whole.trim_start_matches('-').split(',');
        let first = groups.next().is_some_and(|group| (1..=3).contains(&group.len()));
        (first && groups.all(|group| group.len() == 3) && !fraction.contains(','))
            .then(|| text.replace(',', "").parse().ok())?
    };
    let with_decimal_comma = || text.replacen(',', ".", 1).parse().ok().filter(|_| !text.contains('.'));
    text.parse().ok().or_else(grouped).or_else(with_decimal_comma).filter(|value: &f64| value.is_finite())
}

/// Whether a cell has degrees with their mark, and nothing that angles are not written with.
fn is_angle(cell: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || " .,+-°º˚'′´’\"″˝”도분초NSEW북위동경남서".contains(c);
    cell.contains(['°', 'º', '˚', '도']) && cell.contains(|c: char| c.is_ascii_digit()) && cell.chars().all(is_part)
}

/// How a name may be meant: as it is, without words about coordinates, without units and codes, and without what is in brackets.
fn spellings(name: &str) -> [String; 4] {
    let before_bracket = name.split(['(', '[', '{', '<', '（', '［']).next().unwrap_or_default();
    let plain = plain(name);
    [plain.clone(), without_noise(&plain), of_words(name), without_noise(&of_words(before_bracket))]
}

/// A name without the words that are a unit, a code of a CRS or no axis: `x(m)`, `X_5186`, `lon [deg, WGS84]`.
fn of_words(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_code = |word: &str| {
        let digits = word.strip_prefix("epsg").unwrap_or(word);
        (4..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    words.filter(|word| !UNITS.contains(word) && !NOISE.contains(word) && !is_code(word)).collect()
}

/// A name in lower case, without blanks, signs and the code of a CRS.
fn plain(name: &str) -> String {
    let lower = name.to_lowercase();
    let without_code = match lower.find("epsg") {
        Some(at) => {
            let code = lower[at + 4..].trim_start_matches([':', ' ', '_', '-']);
            format!("{}{}", &lower[..at], code.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => lower,
    };
    without_code.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn without_noise(name: &str) -> String {
    NOISE.iter().fold(name.to_owned(), |name, noise| name.replace(noise, ""))
}

fn cells(rows: &[Vec<String>], column: usize) -> impl Iterator<Item = &str> {
    let cells = rows.iter().take(ROWS_MAX).filter_map(move |row| row.get(column));
    cells.map(|cell| cell.trim()).filter(|cell| !is_no_value(cell))
}

fn share_of_numbers(rows: &[Vec<String>], column: usize) -> f64 {
    let (mut all, mut numbers) = (0_u32, 0_u32);
    for cell in cells(rows, column) {
        all += 1;
        numbers += u32::from(number(cell).is_some() || is_angle(cell));
    }
    f64::from(numbers) / f64::from(all.max(1))
}

/// Two columns beside each other that look like degrees in Korea, or the only two with decimals that look like metres.
fn by_values(columns: usize, rows: &[Vec<String>]) -> Option<CoordinateColumns> {
    let all_in = |column: usize, low: f64, high: f64| {
        let mut any = false;
        let all = cells(rows, column).all(|cell| {
            any = true;
            number(cell).is_some_and(|value| (low..=high).contains(&value)) && cell.contains('.')
        });
        any && all
    };
    let longitudes: Vec<usize> = (0..columns).filter(|column| all_in(*column, 124.0, 132.0)).collect();
    let latitudes: Vec<usize> = (0..columns).filter(|column| all_in(*column, 33.0, 39.0)).collect();
    if let ([x], [y]) = (&*longitudes, &*latitudes) {
        return Some(CoordinateColumns { x: *x, y: *y, by_name: false });
    }
    let metres: Vec<usize> = (0..columns).filter(|column| all_in(*column, 10_000.0, 10_000_000.0)).collect();
    match *metres {
        [x, y] if y == x + 1 => Some(CoordinateColumns { x, y, by_name: false }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &[&str], row: &[&str]) -> Option<(usize, usize, bool)> {
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        let rows = vec![row.iter().map(|cell| (*cell).to_owned()).collect(); 3];
        coordinate_columns(&header, &rows).map(|found| (found.x, found.y, found.by_name))
    }

    #[test]
    fn headers_of_portals_are_known() {
        let metres = ["1", "198056.37", "451885.03"];
        for [x, y] in [
            ["x", "y"],
            ["X좌표", "Y좌표"],
            [" x 좌표 ", "y 좌표"],
            ["좌표정보(X)", "좌표정보(Y)"],
            ["좌표정보x(epsg5174)", "좌표정보y(epsg5174)"],
            ["좌표정보X(EPSG:5174)", "좌표정보Y(EPSG:5174)"],
            ["엑스좌표_값", "와이좌표_값"],
            ["X_COORD", "Y_COORD"],
            ["X좌표(TM)", "Y좌표(TM)"],
            ["E", "N"],
            ["x(m)", "y(m)"],
            ["X (m)", "Y (m)"],
            ["X좌표(EPSG5179)", "Y좌표(EPSG5179)"],
            ["X좌표[EPSG:5186]", "Y좌표[EPSG:5186]"],
            ["좌표정보X(EPSG5174)", "좌표정보Y(EPSG5174)"],
            ["X_5186", "Y_5186"],
            ["X좌표(중부원점)", "Y좌표(중부원점)"],
            ["x_m", "y_m"],
            ["X(동향)", "Y(북향)"],
        ] {
            assert_eq!(found(&["번호", x, y], &metres), Some((1, 2, true)), "{x}");
        }
        let degrees = ["가", "37.56", "126.97"];
        for [y, x] in [
            ["위도", "경도"],
            ["위도(도분초)", "경도(도분초)"],
            ["WGS84위도", "WGS84경도"],
            ["REFINE_WGS84_LAT", "REFINE_WGS84_LOGT"],
            ["lat", "lon"],
            ["Latitude", "Longitude"],
            ["위도(WGS84)", "경도(WGS84)"],
            ["주차장위도", "주차장경도"],
            ["start_lat", "start_lon"],
            ["Breite", "Länge"],
            ["위도(도)", "경도(도)"],
            ["위도[deg]", "경도[deg]"],
            ["lat (WGS84)", "lon (WGS84)"],
            ["lat_dd", "lon_dd"],
            ["Latitude (decimal degrees)", "Longitude (decimal degrees)"],
            ["위도（WGS84）", "경도（WGS84）"],
        ] {
            assert_eq!(found(&["이름", y, x], &degrees), Some((2, 1, true)), "{x}");
        }
    }

    #[test]
    fn numbers_decide_between_several_pairs() {
        let header = ["x", "y", "경도", "위도"];
        assert_eq!(found(&header, &["198056.3", "451885.0", "126.97", "37.56"]), Some((2, 3, true)));
        assert_eq!(found(&header, &["198056.3", "451885.0", "", ""]), Some((0, 1, true)));
    }

    #[test]
    fn values_decide_where_names_do_not() {
        assert_eq!(found(&["a", "b", "c"], &["7", "126.978", "37.566"]), Some((1, 2, false)));
        assert_eq!(found(&["a", "b", "c"], &["7", "198056.37", "451885.03"]), Some((1, 2, false)));
        assert_eq!(found(&["a", "b", "c"], &["7", "198056", "451885"]), None, "whole numbers may be anything");
        assert_eq!(found(&["이름", "주소"], &["가", "서울"]), None);
        let header = ["a", "b"].map(str::to_owned);
        let rows = [["126.978", "37.566"], ["-", "없음"]].map(|row| row.map(str::to_owned).to_vec());
        assert!(coordinate_columns(&header, &rows).is_some(), "a text that means no value is none");
    }

    #[test]
    fn angles_count_as_numbers() {
        let header = ["이름", "위도(도분초)", "경도(도분초)"];
        assert_eq!(found(&header, &["가", "37도 33분 59초", "E 126° 58′ 40.8″"]), Some((2, 1, true)));
        assert_eq!(found(&header, &["가", "37도 이상", "126도 이하"]), None);
    }

    #[test]
    fn thousands_may_be_set_apart() {
        assert_eq!(number(" 198,056.37 "), Some(198_056.37));
        assert_eq!(
            [number("37,5665"), number("953900,25"), number("1.234,5")],
            [Some(37.5665), Some(953_900.25), None]
        );
        assert_eq!(number("-1,234"), Some(-1_234.0));
        assert_eq!(number("nan"), None);
    }

    #[test]
    fn a_header_names_a_system() {
        for (name, system) in [
            ("좌표정보x(epsg5174)", Some("EPSG:5174")),
            ("X좌표(EPSG:5186)", Some("EPSG:5186")),
            ("x_2154", Some("EPSG:2154")),
            ("WGS84경도", Some("EPSG:4326")),
            ("lon (WGS84)", Some("EPSG:4326")),
            ("X_5186", Some("EPSG:5186")),
            ("X좌표(EPSG5179)", Some("EPSG:5179")),
            ("x (UTM 52N)", Some("EPSG:32652")),
            ("X(KATEC)", Some(KATEC)),
            ("x(m)", None),
            ("X(UTM-K)", Some("EPSG:5179")),
            ("X좌표", None),
            ("위도", Some("EPSG:4326")),
            ("2024년x", None),
        ] {
            assert_eq!(named_system(name).as_deref(), system, "{name}");
        }
    }
}
