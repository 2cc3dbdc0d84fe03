//! Microseconds and bytes a row of the page writer, against zlib-rs on the same XML: `cargo bench --bench page [-- ROUNDS]`.
//! Each page counts with its fastest round, so that a busy machine disturbs little.

use std::io::Read;
use std::time::Instant;

use flate2::{Compress, Compression, FlushCompress};
use sheetstream::page::{CutPage, END, OpenPage, PAGE_ROWS, PageWriter, Styles};
use sheetstream::record::ColumnType;

enum Cell {
    Source(String),
    Computed(f64),
}

type Row = Vec<Cell>;

fn main() {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(7);
    for (name, rows) in [("numbers", numbers(50_000)), ("text", text(30_000))] {
        for cell_refs in [true, false] {
            for page_rows in [PAGE_ROWS as usize, 50] {
                measure(name, &rows, cell_refs, page_rows, rounds);
            }
        }
    }
}

fn measure(name: &str, rows: &[Row], cell_refs: bool, page_rows: usize, rounds: usize) {
    let mut writer = PageWriter::new(Styles::new(std::array::from_fn(|index| index as u16)), cell_refs);
    let (mut fill, mut cut, mut bytes) = (0.0, 0.0, 0);
    let mut pages = Vec::new();
    for (page, rows) in rows.chunks(page_rows).enumerate() {
        let first_row = (2 + page * page_rows) as u32;
        let (mut fastest_fill, mut fastest_cut) = (f64::MAX, f64::MAX);
        for round in 0..rounds {
            let mut open = OpenPage::default();
            fastest_fill = fastest_fill.min(timed(|| fill_page(&mut open, rows)).0);
            let (seconds, made) = timed(|| writer.cut(&mut open, first_row));
            fastest_cut = fastest_cut.min(seconds);
            if round == 0 {
                bytes += made.bytes.len();
                pages.push(inflate(&made));
            }
        }
        fill += fastest_fill;
        cut += fastest_cut;
    }
    let per_row = |seconds: f64| seconds / rows.len() as f64 * 1e6;
    print!(
        "{name:7} refs {cell_refs:5} pages of {page_rows:4}: fill {:.2} us, cut {:.2} us, {:.1} bytes a row",
        per_row(fill),
        per_row(cut),
        bytes as f64 / rows.len() as f64
    );
    for level in [4, 6] {
        let (seconds, size) = zlib(&pages, level, rounds);
        print!("; zlib-rs {level}: {:.2} us, {:.1} bytes", per_row(seconds), size as f64 / rows.len() as f64);
    }
    println!();
}

fn fill_page(open: &mut OpenPage, rows: &[Row]) {
    for row in rows {
        for cell in row {
            match cell {
                Cell::Source(text) => open.cell(text, ColumnType::Auto),
                Cell::Computed(value) => open.float(*value, 9),
            }
        }
        open.end_row();
    }
}

fn zlib(pages: &[Vec<u8>], level: u32, rounds: usize) -> (f64, usize) {
    let mut zlib = Compress::new(Compression::new(level), false);
    let (mut seconds, mut size) = (0.0, 0);
    for xml in pages {
        let mut out = Vec::with_capacity(xml.len() + 1_024);
        let mut fastest = f64::MAX;
        for _ in 0..rounds {
            zlib.reset();
            out.clear();
            let (seconds, status) = timed(|| zlib.compress_vec(xml, &mut out, FlushCompress::Sync));
            status.expect("memory is large enough");
            fastest = fastest.min(seconds);
        }
        seconds += fastest;
        size += out.len();
    }
    (seconds, size)
}

fn inflate(page: &CutPage) -> Vec<u8> {
    let mut xml = Vec::new();
    let mut stream = flate2::read::DeflateDecoder::new(page.bytes.chain(&END[..]));
    stream.read_to_end(&mut xml).expect("a page is valid");
    xml
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

/// Xorshift: the same rows on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

fn source(text: impl Into<String>) -> Cell {
    Cell::Source(text.into())
}

/// Nine columns: id, name, sheet, x, y, two numbers, longitude and latitude.
fn numbers(count: u64) -> Vec<Row> {
    let mut random = Random(88_172_645_463_325_252);
    let districts = ["강남구", "서초구", "마포구", "종로구", "유성구", "해운대구", "수성구", "연수구"];
    let buildings = ["은하빌딩", "한빛상가", "미래타워", "샛별아파트", "푸른마을", "나래프라자"];
    let row = |id| {
        let (x, y) = (86_000_000 + random.below(34_000_000), 148_000_000 + random.below(58_000_000));
        vec![
            source(format!("{}", 5 * id)),
            source(format!("{} {} {}호", random.one_of(&districts), random.one_of(&buildings), random.below(99_999))),
            source("건물"),
            source(format!("{}.{:02}", x / 100, x % 100)),
            source(format!("{}.{:02}", y / 100, y % 100)),
            source(format!("{}", random.below(10_000))),
            source(format!("{}.{:02}", random.below(100), random.below(100))),
            Cell::Computed(127.5 + (x as f64 / 100.0 - 1e6) / 89_000.0),
            Cell::Computed(38.0 + (y as f64 / 100.0 - 2e6) / 111_000.0),
        ]
    };
    (1..=count).map(row).collect()
}

/// Eleven columns, six of them text: names, kinds, and addresses that share words.
fn text(count: u64) -> Vec<Row> {
    let mut random = Random(77);
    let kinds =
        [("I2", "음식", "카페"), ("I2", "음식", "한식"), ("G2", "소매", "편의점"), ("S2", "수리·개인", "미용실")];
    let cities = ["서울특별시", "부산광역시", "경기도 성남시", "강원도 춘천시", "제주특별자치도 서귀포시"];
    let districts =
        ["강남구 역삼동", "해운대구 우동", "분당구 정자동", "효자동", "중문동", "서초구 반포동", "수영구 광안동"];
    let roads = ["중앙로", "테헤란로", "시장길", "강변로", "대학로", "평화로", "산성길", "번영로"];
    let syllables: Vec<char> = "가나다라마바사아자차카타파하고노도로모보소오조초한민서진우성".chars().collect();
    let row = |id| {
        let kind = kinds[random.below(kinds.len() as u64) as usize];
        let place = format!("{} {}", random.one_of(&cities), random.one_of(&districts));
        let name: String =
            (0..2 + random.below(4)).map(|_| syllables[random.below(syllables.len() as u64) as usize]).collect();
        let branch = if random.below(4) == 0 { "본점" } else { "" };
        vec![
            source(format!("MA0101{:012}", 202_200_000_000 + 7 * id)),
            source(name),
            source(branch),
            source(kind.0),
            source(kind.1),
            source(kind.2),
            source(format!("{}", 11_000 + random.below(300) * 5)),
            source(format!("{place} {}-{}", random.below(1_200) + 1, random.below(40) + 1)),
            source(format!("{place} {}{}번길 {}", random.one_of(&roads), random.below(60) + 1, random.below(300) + 1)),
            Cell::Computed(126.0 + random.below(4_000_000_000) as f64 / 1e9),
            Cell::Computed(34.0 + random.below(4_000_000_000) as f64 / 1e9),
        ]
    };
    (1..=count).map(row).collect()
}
